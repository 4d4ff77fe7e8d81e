// Uses the console as people do and looks at every page of it; prints what it saw as JSON. Signs in where CONSOLE_USER
// holds name:password; viewers have the same password. CONSOLE_ROUNDS is a list of rounds through all pages:
// [{"size": "phone", "theme": "dark", "study": UID, "destination": AE title}, …]; CONSOLE_PROVIDER is an OpenID provider.
//   node console.mjs ADDRESS CHROMIUM STUDY FILE,FILE
// With a folder it only takes pictures, of all pages, or of those named, such as study-desk-dark:
//   node console.mjs ADDRESS CHROMIUM STUDY FILE,FILE FOLDER [NAME…]
import { chromium } from "playwright-core";
import { goRound } from "./round.mjs";
import { signIn } from "./sign_in.mjs";
import { sweep } from "./sweep.mjs";
import { analyse, loseTheConsole, useKeyboard, useTheme, useWithoutScript } from "./visit.mjs";

const SIZES = { desk: { width: 1280, height: 900 }, phone: { width: 360, height: 740 }, wall: { width: 3840, height: 2160 } };

const [address, executablePath, study, files, folder, ...names] = process.argv.slice(2);
const [name, password] = (process.env.CONSOLE_USER ?? ":").split(":");
const rounds = JSON.parse(process.env.CONSOLE_ROUNDS ?? "[]");
// the page of a provider may ask for fonts: nothing here leaves this machine
const args = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];
const browser = await chromium.launch({ executablePath, args });
const visit = {
  browser, address, study, files: files.split(","), name, password, provider: process.env.CONSOLE_PROVIDER, errors: [], foreign: [],
};
const found = {};

try {
  const page = await open({ viewport: SIZES.desk });
  if (name) found.signIn = await signIn(page, visit);
  found.analyse = await analyse(page, visit);
  const storageState = await page.context().storageState();
  found.sweep = await sweep(visit, { result: found.analyse.address, folder, names, storageState });
  if (!folder) {
    found.theme = await useTheme(page);
    // all of them at once: each is drawn by a process of its own
    found.rounds = Object.fromEntries(await Promise.all(rounds.map(walk)));
    found.keyboard = await useKeyboard(await open({ viewport: SIZES.desk, storageState }), visit);
    found.silence = await loseTheConsole(await browser.newPage({ storageState }), address); // whose failures are no errors
    found.withoutScript = await useWithoutScript(await open({ viewport: SIZES.desk, javaScriptEnabled: false }), visit);
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ ...found, errors: visit.errors, foreign: visit.foreign }));

async function walk({ size, theme, ...own }) {
  const page = await open({ viewport: SIZES[size], colorScheme: theme });
  const seen = await goRound(page, visit, { ...own, name: `${size}-${theme}` });
  await page.context().close();
  return [`${size}-${theme}`, seen];
}

// A window of its own, with the policy of the pages in force: any violation of it is an error here.
async function open(options) {
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  const ours = (url) => url.startsWith(address);
  page.on("pageerror", (error) => ours(page.url()) && visit.errors.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error" && ours(page.url()) && !/status of 40[134]/.test(message.text())) visit.errors.push(message.text()); });
  page.on("request", (request) => {
    const asked = request.isNavigationRequest() || ours(request.frame().url());
    if (asked && ![address, visit.provider ?? address, "blob:"].some((start) => request.url().startsWith(start))) visit.foreign.push(request.url());
  });
  return page;
}
