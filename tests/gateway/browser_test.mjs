// The pages of the gateway in headless Chromium: they render without a complaint, ask no other host, and
// the try-it button of /docs filters the Nile. Screenshots go to $LUNA_ARTIFACTS.
//
// Environment: LUNA_GATEWAY, LUNA_ECHO_SERVER, LUNA_ECHO_DESCRIPTORS, LUNA_GATEWAY_URL, LUNA_KEY, LUNA_CHROMIUM, LUNA_NODE_MODULES, LUNA_ARTIFACTS (browser_run.sh).
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {once} from "node:events";
import {mkdirSync} from "node:fs";
import {createRequire} from "node:module";
import {createServer} from "node:net";
import test, {after, before} from "node:test";

const {LUNA_GATEWAY_URL: url, LUNA_KEY: key, LUNA_ARTIFACTS: artifacts, LUNA_CHROMIUM: program} = process.env;
const {chromium} = createRequire(process.env.LUNA_NODE_MODULES + "/")("playwright-core");
const WAIT_MS = 90000; // Swagger UI takes its time on a busy machine
const NILE = [1120, 1140.927839934822, 1072.7985295274439, 1117.3089545639095, 1129.972136111239];

let browser;
let withAssets;

before(async () => {
    mkdirSync(artifacts, {recursive: true});
    // The profile is a new folder that playwright makes and removes.
    browser = await chromium.launch({
        executablePath: program,
        headless: true,
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
    });
    withAssets = (await fetch(url + "/assets/swagger-ui-bundle.js", {method: "HEAD"})).ok;
    if (!withAssets && process.env.CI === "true")
        throw new Error("the gateway was built without Swagger UI and Redoc: run ./dev deps before the build");
});

after(() => browser?.close());

// Opens a page, runs `body`, and fails for whatever the browser complained of meanwhile.
async function visit(path, options, body) {
    const complaints = [];
    const context = await browser.newContext({viewport: {width: 1280, height: 900}, ...options});
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    page.on("console", (m) => { if (m.type() === "error" || m.type() === "warning") complaints.push(m.text()); });
    page.on("pageerror", (e) => complaints.push(String(e)));
    page.on("requestfailed", (r) => complaints.push(`${r.url()}: ${r.failure().errorText}`));
    page.on("request", (r) => {
        const to = new URL(r.url());
        if (!["data:", "blob:"].includes(to.protocol) && to.origin !== new URL(url).origin)
            complaints.push(`asks another host: ${r.url()}`);
    });
    page.on("response", (r) => { if (r.status() >= 400) complaints.push(`${r.status()} ${r.url()}`); });
    const answer = await page.goto(url + path);
    assert.equal(answer.status(), 200);
    assert.match(answer.headers()["content-security-policy"], /default-src 'none'/);
    await body(page);
    await context.close();
    assert.deepEqual(complaints, []);
}

// Swagger UI draws only the calls near the window.
async function find(page, call) {
    await page.locator(".opblock").first().waitFor();
    for (let i = 0; i < 400 && await call.count() === 0; i++) {
        await page.mouse.wheel(0, 400);
        await page.waitForTimeout(50);
    }
    await call.scrollIntoViewIfNeeded();
}

const shoot = (page, name) => page.screenshot({path: `${artifacts}/${name}.png`});

// What a reader without eyes or mouse needs, as far as the tree shows it.
async function checkAccess(page) {
    assert.equal(await page.getAttribute("html", "lang"), "en");
    assert.ok(await page.title());
    assert.equal(await page.locator("main").count(), 1);
    assert.equal(await page.locator("img:not([alt])").count(), 0);
    assert.equal(await page.locator("h1").count(), 1);
}

// WCAG 2.1's contrast of the computed colours, for each element that holds text itself.
async function leastContrast(page) {
    return page.evaluate(() => {
        const parse = (c) => c.match(/[\d.]+/g).map(Number);
        const light = (c) => parse(c).slice(0, 3).map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const ground = (e) => {
            for (; e; e = e.parentElement) {
                const c = getComputedStyle(e).backgroundColor;
                if ((parse(c)[3] ?? 1) > 0)
                    return c;
            }
            return "rgb(255, 255, 255)";
        };
        let least = 21;
        for (const e of document.querySelectorAll("main *")) {
            if (![...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim()) || !e.offsetParent)
                continue;
            const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
            least = Math.min(least, (a + 0.05) / (b + 0.05));
        }
        return least;
    });
}

for (const colorScheme of ["light", "dark"]) {
    test(`the start page shows what runs, ${colorScheme}`, async () => {
        await visit("/", {colorScheme}, async (page) => {
            await page.getByText("reached and ready").waitFor();
            assert.equal(await page.textContent("#gateway-state"), "running");
            assert.equal(await page.locator(".dot.good").count(), 2);
            await checkAccess(page);
            assert.ok(await leastContrast(page) >= 4.5, "contrast");
            for (const href of ["/docs", "/redoc", "/reference", "/openapi.json", "/metrics", "/healthz", "/readyz"])
                assert.ok(await page.locator(`a[href="${href}"]`).count() > 0, href);
            await shoot(page, `start-${colorScheme}`);
        });
    });

    test(`the reference needs no scripts, ${colorScheme}`, async () => {
        await visit("/reference", {colorScheme, javaScriptEnabled: false}, async (page) => {
            await page.locator("[id='KalmanService.Filter']").waitFor();
            assert.ok(await page.getByText("/api/v1/{account_id}/kalman").count() > 0);
            await shoot(page, `reference-${colorScheme}`);
        });
    });
}

test("the start page fits a telephone", async () => {
    await visit("/", {viewport: {width: 360, height: 740}, isMobile: true}, async (page) => {
        await page.getByText("reached and ready").waitFor();
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
        await shoot(page, "start-telephone");
    });
});

test("the reference is readable", async () => {
    for (const colorScheme of ["light", "dark"])
        await visit("/reference", {colorScheme}, async (page) => {
            await checkAccess(page);
            assert.ok(await leastContrast(page) >= 4.5, `contrast, ${colorScheme}`);
        });
});

test("the try-it button of /docs filters the Nile", async (t) => {
    if (!withAssets)
        return t.skip("built without Swagger UI");
    await visit("/docs", {}, async (page) => {
        await page.locator(".opblock").first().waitFor();
        await shoot(page, "docs");
        await page.locator("button.authorize").click();
        const form = page.locator(".auth-container", {hasText: "x-api-key"});
        await form.locator("input").fill(key);
        await form.locator("button[type=submit]").click();
        await page.locator("button.btn-done").first().click();
        const call = page.locator("#operations-KalmanService-KalmanService_Filter");
        await find(page, call);
        await call.locator("button.opblock-summary-control").click();
        await call.locator("button.try-out__btn").click();
        await call.locator("button.execute").click();
        const live = call.locator(".live-responses-table");
        await live.waitFor();
        assert.equal((await live.locator(".response-col_status").last().textContent()).slice(0, 3), "200");
        // The page draws numbers as text; what the button sends is sent once more, to compare it exactly.
        const shown = await live.locator(".microlight, .highlight-code").first().innerText();
        for (const value of NILE)
            assert.ok(shown.includes(String(value)), `${value} is not in ${shown.slice(0, 400)}`);
        assert.ok(shown.includes("processed_results"));
        await live.scrollIntoViewIfNeeded();
        await shoot(page, "docs-called");
    });
});

test("a mistake in /docs shows the field", async (t) => {
    if (!withAssets)
        return t.skip("built without Swagger UI");
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    await page.goto(url + "/docs");
    const call = page.locator("#operations-KalmanService-KalmanService_Filter");
    await find(page, call);
    await call.locator("button.opblock-summary-control").click();
    await call.locator("button.try-out__btn").click();
    await call.locator("textarea.body-param__text").fill('{"results": [1, 2], "levle_variance": 1}');
    await call.locator("button.execute").click();
    await call.locator(".live-responses-table").waitFor();
    assert.ok((await call.locator(".live-responses-table").innerText()).includes("levle_variance"));
    await context.close();
});

test("/redoc renders, searches and shows examples", async (t) => {
    if (!withAssets)
        return t.skip("built without Redoc");
    await visit("/redoc", {}, async (page) => {
        await page.getByRole("heading", {name: "Filters a series"}).first().waitFor();
        await page.locator("input[role=search], input[type=text]").first().fill("account");
        await page.locator("[data-role='search:results'] li, .search-results li").first().waitFor();
        await shoot(page, "redoc");
    });
});

async function freePort() {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const {port} = server.address();
    server.close();
    await once(server, "close");
    return port;
}

async function answersAt(address) {
    for (let i = 0; i < 200; i++) {
        if (await fetch(address).then((r) => r.ok, () => false))
            return;
        await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`${address} does not answer`);
}

// The services of Luna have no stream yet: the server of the gRPC tests stands behind a second gateway.
test("EventSource reads a stream, and is told when it breaks", async () => {
    const [grpc, rest] = [await freePort(), await freePort()];
    const quiet = {stdio: "ignore"};
    const programs = [
        spawn(process.env.LUNA_ECHO_SERVER, [`--listen-address=127.0.0.1:${grpc}`], quiet),
        spawn(process.env.LUNA_GATEWAY, [`--listen-address=127.0.0.1:${rest}`, `--upstream=127.0.0.1:${grpc}`,
            `--descriptors=${process.env.LUNA_ECHO_DESCRIPTORS}`], quiet),
    ];
    try {
        await answersAt(`http://127.0.0.1:${rest}/readyz`);
        const context = await browser.newContext();
        const page = await context.newPage();
        await page.goto(`http://127.0.0.1:${rest}/reference`);
        const listen = (path) => page.evaluate((from) => new Promise((done) => {
            const seen = [];
            const source = new EventSource(from);
            source.onmessage = (e) => seen.push(JSON.parse(e.data));
            source.addEventListener("error", (e) => {
                source.close(); // the end of the stream; or an event of that name, with data
                done({seen, failure: e.data ? JSON.parse(e.data) : null});
            });
        }), path);
        const whole = await listen("/events?count=3&bytes=3&sleep_ms=50");
        assert.deepEqual(whole, {seen: Array(3).fill({body: "AAAA"}), failure: null});
        const broken = await listen("/events?count=2&fail_code=14");
        assert.equal(broken.seen.length, 2);
        assert.equal(broken.failure.status, "UNAVAILABLE");
        await context.close();
    } finally {
        for (const program of programs) {
            program.kill("SIGTERM");
            if (program.exitCode === null)
                await Promise.race([once(program, "exit"), new Promise((done) => setTimeout(done, 10000))]);
        }
    }
});
