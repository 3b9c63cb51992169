// Clients that others generate, from their npm packages, in headless Chromium and from a page of another origin: Connect (JSON
// and binary) and gRPC-Web of @connectrpc/connect-web, gRPC-Web (binary and text) of grpc-web, and WebSocket.
//
// Environment: as browser_test.mjs has it.
import assert from "node:assert/strict";
import {execFileSync, spawn} from "node:child_process";
import {once} from "node:events";
import {mkdirSync, mkdtempSync, rmSync} from "node:fs";
import {createServer} from "node:http";
import {createRequire} from "node:module";
import {createServer as createSocket} from "node:net";
import {tmpdir} from "node:os";
import path from "node:path";
import test, {after, before} from "node:test";
import {fileURLToPath} from "node:url";

const {LUNA_KEY: key, LUNA_ARTIFACTS: artifacts, LUNA_NODE_MODULES: modules, LUNA_STACK: stack} = process.env;
const require = createRequire(modules + "/");
const {chromium} = require("playwright-core");
const here = path.dirname(fileURLToPath(import.meta.url));
const NILE = [1120, 1140.927839934822, 1072.7985295274439, 1117.3089545639095, 1129.972136111239];

const folder = mkdtempSync(path.join(tmpdir(), "luna-clients-"));
const programs = [];
let browser, pages, page, luna, echo;

// Code of the protos for JavaScript, and one file for the browser of it all.
function bundle() {
    const proto = path.resolve(here, "../../proto");
    const gen = path.join(folder, "node_modules", "gen");
    mkdirSync(gen, {recursive: true});
    execFileSync("protoc", ["-I", here, "-I", proto, `--plugin=${modules}/.bin/protoc-gen-es`, `--es_out=${gen}`,
        "--es_opt=target=js", "browser_echo.proto", "luna/v1/kalman.proto", "luna/v1/options.proto",
        "google/api/annotations.proto", "google/api/http.proto"]);
    const outfile = path.join(folder, "clients.js");
    require("esbuild").buildSync({
        entryPoints: [path.join(here, "browser_clients_page.mjs")], outfile, bundle: true, format: "iife",
        nodePaths: [path.join(folder, "node_modules"), modules], logLevel: "error",
    });
    return outfile;
}

async function freePort() {
    const server = createSocket().listen(0, "127.0.0.1");
    await once(server, "listening");
    const {port} = server.address();
    server.close();
    await once(server, "close");
    return port;
}

// A gateway that pages of `origin` may call.
async function gateway(origin, upstream, ...settings) {
    const url = `http://127.0.0.1:${await freePort()}`;
    programs.push(spawn(process.env.LUNA_GATEWAY, [`--listen-address=${url.slice(7)}`, `--upstream=${upstream}`,
        `--cors-origins=${origin}`, "--log-level=WARNING", ...settings], {stdio: "ignore"}));
    for (let i = 0; i < 300; i++) {
        if (await fetch(url + "/readyz").then((r) => r.ok, () => false))
            return url;
        await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`${url} does not answer`);
}

before(async () => {
    mkdirSync(artifacts, {recursive: true});
    const script = bundle();
    pages = createServer((_, answer) => {
        answer.setHeader("content-type", "text/html");
        answer.end("<!doctype html><html lang=en><title>Clients</title><h1>Clients of Luna</h1><pre></pre></html>");
    }).listen(0, "127.0.0.1");
    await once(pages, "listening");
    const origin = `http://127.0.0.1:${pages.address().port}`;
    const grpc = `127.0.0.1:${await freePort()}`;
    programs.push(spawn(process.env.LUNA_ECHO_SERVER, [`--listen-address=${grpc}`], {stdio: "ignore"}));
    luna = await gateway(origin, `unix:${stack}/luna.sock`);
    echo = await gateway(origin, grpc, `--descriptors=${process.env.LUNA_ECHO_DESCRIPTORS}`);
    browser = await chromium.launch({
        executablePath: process.env.LUNA_CHROMIUM,
        headless: true,
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
    });
    page = await browser.newPage();
    await page.goto(origin);
    await page.addScriptTag({path: script});
});

after(async () => {
    await browser?.close();
    pages?.close();
    for (const program of programs) {
        program.kill("SIGTERM");
        if (program.exitCode === null)
            await Promise.race([once(program, "exit"), new Promise((done) => setTimeout(done, 10000))]);
    }
    rmSync(folder, {recursive: true, force: true});
});

// Calls window.luna[name] and shows on the page what came.
const call = (name, ...args) => page.evaluate(async ([f, a]) => {
    const result = await window.luna[f](...a);
    document.querySelector("pre").append(`${f}(${a[0]}): ${JSON.stringify(result)}\n`);
    return result;
}, [name, args]);

for (const transport of ["connect, JSON", "connect, binary", "gRPC-Web of connect"]) {
    test(`${transport}: calls, mistakes and streams`, async () => {
        assert.deepEqual(await call("filter", transport, luna, key), {results: NILE});
        const wrong = await call("filter", transport, luna, key, {results: [1, 2],
            levelVariancePresence: {case: "levelVariance", value: -1}});
        assert.equal(wrong.failure.code, "InvalidArgument");
        assert.match(wrong.failure.message, /level_variance/);
        assert.ok(wrong.failure.details > 0);
        assert.equal((await call("filter", transport, luna, "")).failure.code, "Unauthenticated");
        assert.deepEqual(await call("download", transport, echo, {count: 3, bytes: 70000}), {seen: Array(3).fill(70000)});
        const broken = await call("download", transport, echo, {count: 2, bytes: 5, failCode: 14});
        assert.deepEqual(broken.seen, [5, 5]);
        assert.equal(broken.failure.code, "Unavailable");
    });
}

for (const format of ["binary", "text"]) {
    test(`grpc-web, ${format}: calls, mistakes and streams`, async () => {
        assert.deepEqual(await call("webFilter", format, luna, key), {results: NILE});
        assert.equal((await call("webFilter", format, luna, "")).failure.code, 16);
        // Streams of grpc-web are text; as binary they come whole.
        if (format === "text") {
            assert.deepEqual(await call("webDownload", format, echo, {count: 3, bytes: 7, sleepMs: 20}),
                {seen: [7, 7, 7]});
            const broken = await call("webDownload", format, echo, {count: 2, bytes: 5, failCode: 14});
            assert.deepEqual(broken.seen, [5, 5]);
            assert.equal(broken.failure.code, 14);
        }
    });
}

test("WebSocket: talks both ways, and authenticates by subprotocol", async () => {
    const address = (url, target) => url.replace("http", "ws") + target;
    const chat = await call("talk", address(echo, "/chat"), ["luna.json"], ['{"body":"AAAA"}', '{"body":"AQID"}', ""]);
    assert.deepEqual(chat, {seen: [{body: "AAAA"}, {body: "AQID"}], code: 1000, reason: "", protocol: "luna.json"});
    const nile = '{"results": [1120, 1160, 963, 1210, 1160], "observation_variance": 15099, "level_variance": 1469.1}';
    const filtered = await call("talk", address(luna, "/luna.v1.KalmanService/Filter"),
        ["luna.json", `luna.auth.${key}`], [nile]);
    assert.equal(filtered.code, 1000);
    assert.deepEqual(filtered.seen[0].processed_results, NILE);
    const refused = await call("talk", address(luna, "/luna.v1.KalmanService/Filter"), ["luna.json"], [nile]);
    assert.equal(refused.code, 4016);
    assert.equal(refused.seen[0].error.status, "UNAUTHENTICATED");
    await page.screenshot({path: `${artifacts}/clients.png`});
});

test("pages of other origins may not", async () => {
    const other = await gateway("https://app.example.com", `unix:${stack}/luna.sock`);
    const socket = await call("talk", other.replace("http", "ws") + "/luna.v1.KalmanService/Filter", ["luna.json"], ["{}"]);
    assert.equal(socket.code, 1006);
    assert.ok((await call("filter", "connect, JSON", other, key)).failure);
});
