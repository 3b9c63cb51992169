// In the browser: generated clients of Connect and gRPC-Web, and a bare WebSocket. Bundled by browser_clients_test.mjs, which
// calls what hangs on `window.luna`.
import {create, fromBinary, toBinary} from "@bufbuild/protobuf";
import {Code, ConnectError, createClient} from "@connectrpc/connect";
import {createConnectTransport, createGrpcWebTransport} from "@connectrpc/connect-web";
import grpcWeb from "grpc-web";
import {EchoCommandSchema, EchoMessageSchema, EchoService} from "gen/browser_echo_pb.js";
import {FilterRequestSchema, FilterResponseSchema, KalmanService} from "gen/luna/v1/kalman_pb.js";

const NILE = {
    results: [1120, 1160, 963, 1210, 1160],
    observationVariancePresence: {case: "observationVariance", value: 15099},
    levelVariancePresence: {case: "levelVariance", value: 1469.1},
};

const transports = {
    "connect, JSON": (baseUrl) => createConnectTransport({baseUrl}),
    "connect, binary": (baseUrl) => createConnectTransport({baseUrl, useBinaryFormat: true}),
    "gRPC-Web of connect": (baseUrl) => createGrpcWebTransport({baseUrl}),
};

const failure = (e) => ({code: Code[ConnectError.from(e).code], message: ConnectError.from(e).rawMessage,
    details: ConnectError.from(e).details.length});

async function filter(transport, baseUrl, key, request = NILE) {
    try {
        const client = createClient(KalmanService, transports[transport](baseUrl));
        const answer = await client.filter(request, {headers: {"x-api-key": key}, timeoutMs: 30000});
        return {results: answer.processedResults};
    } catch (e) {
        return {failure: failure(e)};
    }
}

async function download(transport, baseUrl, command) {
    const seen = [];
    try {
        const client = createClient(EchoService, transports[transport](baseUrl));
        for await (const message of client.download(command))
            seen.push(message.body.length);
        return {seen};
    } catch (e) {
        return {seen, failure: failure(e)};
    }
}

// What protoc-gen-grpc-web writes, with the same messages.
const descriptor = (path, type, input, output) => new grpcWeb.MethodDescriptor(path, type, Object, Object,
    (message) => toBinary(input, message), (bytes) => fromBinary(output, bytes));
const FILTER = descriptor("/luna.v1.KalmanService/Filter", grpcWeb.MethodType.UNARY, FilterRequestSchema,
    FilterResponseSchema);
const DOWNLOAD = descriptor("/luna.testing.EchoService/Download", grpcWeb.MethodType.SERVER_STREAMING,
    EchoCommandSchema, EchoMessageSchema);

const webFilter = (format, baseUrl, key) => new Promise((done) => {
    const client = new grpcWeb.GrpcWebClientBase({format});
    client.rpcCall(baseUrl + FILTER.getName(), create(FilterRequestSchema, NILE), {"x-api-key": key}, FILTER,
        (e, answer) => done(e ? {failure: {code: e.code, message: e.message}} : {results: answer.processedResults}));
});

const webDownload = (format, baseUrl, command) => new Promise((done) => {
    const seen = [];
    const stream = new grpcWeb.GrpcWebClientBase({format}).serverStreaming(
        baseUrl + DOWNLOAD.getName(), create(EchoCommandSchema, command), {}, DOWNLOAD);
    stream.on("data", (message) => seen.push(message.body.length));
    stream.on("error", (e) => done({seen, failure: {code: e.code, message: e.message}}));
    stream.on("end", () => done({seen}));
});

// Sends the texts, then collects what comes until the close.
const talk = (address, protocols, texts) => new Promise((done) => {
    const seen = [];
    const socket = new WebSocket(address, protocols);
    socket.onopen = () => texts.forEach((text) => socket.send(text));
    socket.onmessage = (e) => seen.push(JSON.parse(e.data));
    socket.onclose = (e) => done({seen, code: e.code, reason: e.reason, protocol: socket.protocol});
});

window.luna = {filter, download, webFilter, webDownload, talk};
