"use strict";
// What /healthz and /readyz say, every five seconds while the page is looked at.
const PERIOD_MS = 5000;

function show(name, good, text) {
    document.getElementById(name + "-dot").className = "dot " + (good ? "good" : "bad");
    const state = document.getElementById(name + "-state");
    if (state.textContent !== text)
        state.textContent = text;
}

async function ask(path) {
    try {
        const answer = await fetch(path, {cache: "no-store"});
        const body = await answer.json();
        return {good: answer.ok, text: answer.ok ? "running" : body.message};
    } catch (failure) {
        return {good: false, text: "does not answer"};
    }
}

async function update() {
    if (document.hidden)
        return;
    const gateway = await ask("/healthz");
    show("gateway", gateway.good, gateway.text);
    if (!gateway.good) {
        show("server", false, "not known");
        return;
    }
    const server = await ask("/readyz");
    show("server", server.good, server.good ? "reached and ready" : server.text);
}

const call = document.getElementById("call");
call.textContent = call.textContent.replace("$LUNA", location.origin);

update();
setInterval(update, PERIOD_MS);
document.addEventListener("visibilitychange", update);
