// A SMART app made with fhirclient in a real browser: its user signs in, chooses a patient and lets it in.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";

import serverless from "@sparticuz/chromium";
import { chromium } from "playwright-core";

const program = process.env.ANAMNESIS_PROGRAM;
const folder = mkdtempSync(join(process.env.ANAMNESIS_WORK, "smart."));
// What the other tests are told is no setting of a server.
const environment = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("ANAMNESIS_")),
);
const password = "correct horse battery staple";
const secret = "a secret of the laboratory's own making";
const scope = "launch/patient openid fhirUser profile offline_access patient/*.rs";

let app, ask, audit, base, browser, origin, server, settings;

function freePort() {
    return new Promise((resolve) => {
        const probe = net.createServer().listen(0, "127.0.0.1", () => {
            const { port } = probe.address();
            probe.close(() => resolve(port));
        });
    });
}

/// The app: two pages and the library as it is published.
function serveApp() {
    const library = readFileSync(createRequire(import.meta.url).resolve("fhirclient/build/fhir-client.js"));
    const page = (script) => `<!doctype html><title>App</title><script src="/fhir-client.js"></script>
        <pre id="result"></pre><script>${script}</script>`;
    const pages = {
        "/launch.html": () => page(`FHIR.oauth2.authorize({ iss: ${JSON.stringify(base)}, clientId: "growth",
            scope: ${JSON.stringify(scope)} + (location.search ? " break-glass" : ""), redirectUri: "app.html", pkceMode: "required" })`),
        "/app.html": () => page(`
            const show = (what) => { document.getElementById("result").textContent = JSON.stringify(what); };
            const status = (error) => error.status ?? error.statusCode ?? String(error);
            FHIR.oauth2.ready().then(async (client) => {
                const own = await client.patient.read();
                const notes = await client.patient.request("Observation", { pageLimit: 0, flat: true });
                const other = await client.request("Patient/other").then(() => 200, status);
                const found = await client.request("Patient?_id=other");
                const renewed = await Promise.resolve().then(() => client.refresh()).then((state) => Boolean(state.tokenResponse.access_token), status);
                show({ patient: client.patient.id, family: own.name[0].family, user: client.getFhirUser(),
                    notes: notes.map((note) => note.id), other, found: (found.entry ?? []).length, renewed });
            }).catch((error) => show({ error: String(error) }))`),
    };
    return new Promise((resolve) => {
        app = createServer((request, response) => {
            const path = new URL(request.url, "http://app").pathname;
            if (path === "/fhir-client.js") {
                response.setHeader("content-type", "text/javascript");
                response.end(library);
            } else if (pages[path]) {
                response.setHeader("content-type", "text/html; charset=utf-8");
                response.end(pages[path]());
            } else {
                response.statusCode = 404;
                response.end();
            }
        }).listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${app.address().port}`));
    });
}

function configure(roles) {
    writeFileSync(settings, `
[[workspaces.clinic.role_assignments]]
role = "Auditor"
principalId = "laboratory"
principalType = "ServicePrincipal"

[[workspaces.clinic.role_assignments]]
role = "Operator"
principalId = "laboratory"
principalType = "ServicePrincipal"
${roles.map(([role, id]) => `[[workspaces.clinic.role_assignments]]
role = "${role}"
principalId = "${id}"
principalType = "User"
`).join("")}
[workspaces.clinic.audit.alerts]
quiet_s = 1

[[workspaces.clinic.smart.clients]]
client_id = "growth"
client_name = "Growth chart"
redirect_uris = ["${origin}/app.html"]
scope = "${scope} break-glass user/*.rs"

[[workspaces.clinic.smart.clients]]
client_id = "laboratory"
client_name = "Laboratory"
token_endpoint_auth_method = "client_secret_post"
client_secret = "${secret}"
scope = "system/*.cruds"

[workspaces.clinic.services.fhir]
kind = "fhir"
authenticationConfiguration = { smartProxyEnabled = true }

[workspaces.clinic.services.fhir.corsConfiguration]
allowedOrigins = ["${origin}"]
allowedHeaders = ["*"]
allowedMethods = ["GET"]
`);
}

async function start(port) {
    server = spawn(
        program,
        ["serve", "--config", settings, "--listen", `127.0.0.1:${port}`, "--data", join(folder, "data")],
        { env: environment, stdio: "ignore" },
    );
    for (let tries = 0; tries < 600; tries += 1) {
        const answer = await fetch(`${base}/metadata`).catch(() => undefined);
        if (answer?.ok) return;
        assert.equal(server.exitCode, null, "the server ended before it answered");
        await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.fail("the server did not answer");
}

async function stop() {
    const ended = new Promise((resolve) => server.once("exit", resolve));
    server.kill("SIGTERM");
    await ended;
}

function users(...words) {
    const common = ["--config", settings, "--data", join(folder, "data"), "--workspace", "clinic"];
    return execFileSync(program, ["users", ...words, ...common], { env: environment, input: `${password}\n` })
        .toString().trim();
}

before(async () => {
    const port = await freePort();
    base = `http://127.0.0.1:${port}/clinic/fhir`;
    origin = await serveApp();
    settings = join(folder, "anamnesis.toml");
    configure([]);
    await start(port);
    const doctor = users("add", "ann", "--display", "Ann Cole", "--fhir-user", "Practitioner/ann");
    users("add", "pat", "--display", "Pat Mill", "--fhir-user", "Patient/own");
    const emergency = users("add", "eve", "--display", "Eve Noon", "--fhir-user", "Practitioner/eve");
    const form = new URLSearchParams({
        grant_type: "client_credentials", client_id: "laboratory", client_secret: secret, scope: "system/*.cruds",
    });
    const token = await (await fetch(`${base}/auth/token`, { method: "POST", body: form })).json();
    const put = async (resource) => {
        const answer = await fetch(`${base}/${resource.resourceType}/${resource.id}`, {
            method: "PUT", body: JSON.stringify(resource),
            headers: { authorization: `Bearer ${token.access_token}`, "content-type": "application/fhir+json" },
        });
        assert.equal(answer.status, 201, await answer.text());
    };
    for (const [id, family] of [["own", "Mill"], ["other", "Stone"]]) {
        await put({ resourceType: "Patient", id, name: [{ family, given: ["Pat"] }], birthDate: "1970-01-02" });
        await put({
            resourceType: "Observation", id: `note-of-${id}`, status: "final", code: { text: "weight" },
            subject: { reference: `Patient/${id}` },
        });
    }
    await stop();
    ask = async (address, method = "GET") => {
        const fresh = await (await fetch(`${base}/auth/token`, { method: "POST", body: form })).json();
        return fetch(address, { method, headers: { authorization: `Bearer ${fresh.access_token}` } });
    };
    audit = async (path) => {
        const answer = await ask(`${new URL(base).origin}/clinic/audit/${path}`);
        assert.equal(answer.status, 200);
        return answer.json();
    };
    // Roles are assigned by the id that the user was given.
    configure([["FHIR Data Reader", doctor], ["Emergency Access", emergency]]);
    await start(port);
    browser = await chromium.launch({
        // Of the package's own switches some turn off what is to be tried here, such as the rules about origins.
        executablePath: await serverless.executablePath(), args: ["--no-sandbox"], headless: true,
    });
});

after(async () => {
    await browser?.close();
    if (server && server.exitCode === null) await stop();
    app?.close();
    rmSync(folder, { recursive: true, force: true });
});

async function result(page) {
    await page.waitForFunction(() => document.getElementById("result")?.textContent);
    return JSON.parse(await page.textContent("#result"));
}

async function signIn(page, name, launch = "launch.html") {
    await page.goto(`${origin}/${launch}`);
    await page.getByLabel("User name").fill(name);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in" }).click();
}

test("a practitioner chooses a patient, and the app reads that one's record and no other", async () => {
    // The pages are to work without scripts; only the app's own need them.
    const context = await browser.newContext();
    const page = await context.newPage();
    await signIn(page, "ann");
    await page.getByLabel("Beginning of a name, or an identifier").fill("mill");
    await page.getByRole("button", { name: "Search" }).click();
    assert.equal(await page.getByRole("radio").count(), 1);
    await page.getByLabel(/Mill/).check();
    await page.getByRole("button", { name: "Go on with this patient" }).click();
    await page.getByRole("button", { name: "Let it in", exact: true }).click();
    assert.deepEqual(await result(page), {
        patient: "own", family: "Mill", user: "Practitioner/ann", notes: ["note-of-own"], other: 404, found: 0, renewed: true,
    });
    await context.close();
});

test("a patient has no choice but the own record", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await signIn(page, "pat");
    await page.getByRole("button", { name: "Let it in", exact: true }).click();
    const { patient, other, found } = await result(page);
    assert.deepEqual({ patient, other, found }, { patient: "own", other: 404, found: 0 });
    await context.close();
});

test("in an emergency one record is opened, with a reason that auditors find", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await signIn(page, "eve", "launch.html?emergency");
    await page.getByLabel(/Why is it an emergency/).fill("unconscious on arrival, no relatives");
    await page.getByRole("button", { name: "It is an emergency: go on" }).click();
    await page.getByLabel(/Stone/).check();
    await page.getByRole("button", { name: "Go on with this patient" }).click();
    await page.getByRole("button", { name: "Let it in", exact: true }).click();
    const { patient, family, notes, renewed } = await result(page);
    assert.deepEqual({ patient, family, notes }, { patient: "other", family: "Stone", notes: ["note-of-other"] });
    assert.notEqual(renewed, true, "such a token is not renewed");
    await context.close();
    const found = await audit("AuditEvent?entity=Patient/other&_count=100");
    const reasons = found.entry.flatMap(({ resource }) => resource.purposeOfEvent ?? []);
    assert.ok(reasons.some((why) => why.text === "unconscious on arrival, no relatives" && why.coding[0].code === "BTG"));
});

test("without the role for it there is no emergency", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await signIn(page, "ann", "launch.html?emergency");
    assert.equal(await page.getByLabel(/Why is it an emergency/).count(), 0);
    await context.close();
});

test("who does not let the app in is sent back without a token", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await signIn(page, "pat");
    await page.getByRole("button", { name: "Do not let it in" }).click();
    const { error } = await result(page);
    assert.match(error, /access_denied|refused|not let/i);
    await context.close();
});

test("operators see and remove users", async () => {
    const { users: [eve] } = await (await ask(`${base}/auth/users?name=eve`)).json();
    assert.equal((await (await ask(`${base}/auth/users/${eve.id}`)).json()).name, "eve");
    assert.equal((await ask(`${base}/auth/register/growth`)).status, 404, "of the configuration, not registered");
    assert.equal((await ask(`${base}/auth/users/${eve.id}`, "DELETE")).status, 204);
    const page = await (await browser.newContext()).newPage();
    await signIn(page, "eve");
    assert.match(await page.textContent("main"), /not right/);
    await page.context().close();
});

test("a wrong password lets nobody in", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${origin}/launch.html`);
    await page.getByLabel("User name").fill("ann");
    await page.getByLabel("Password").fill("something else entirely");
    await page.getByRole("button", { name: "Sign in" }).click();
    assert.match(await page.textContent("main"), /not right/);
    await context.close();
});
