// Uses the console as people do and looks at every page of it; prints what it saw as JSON. Signs in where CONSOLE_USER
// holds name:password; vera, a viewer, has the same password.
//   node console.mjs ADDRESS CHROMIUM STUDY FILE,FILE
// With a folder it only takes pictures, of all pages, or of those named, such as study-desk-dark:
//   node console.mjs ADDRESS CHROMIUM STUDY FILE,FILE FOLDER [NAME…]
import { chromium } from "playwright-core";
import { sweep } from "./sweep.mjs";
import { analyse, look, manageUsers, readStudies, signIn, useKeyboard, useTheme, useWithoutScript } from "./visit.mjs";

const [address, executablePath, study, files, folder, ...names] = process.argv.slice(2);
const [name, password] = (process.env.CONSOLE_USER ?? ":").split(":");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const visit = { browser, address, study, files: files.split(","), name, password, errors: [], foreign: [] };
const found = {};

try {
  const page = await open();
  if (name) found.signIn = await signIn(page, visit);
  found.analyse = await analyse(page, visit, { phone: !folder });
  const storageState = await page.context().storageState();
  const pages = { result: found.analyse.address, studies: "/studies", study: `/studies/${study}`, users: "/users" };
  found.sweep = await sweep(visit, { ...pages, folder, names, storageState });
  if (!folder) {
    found.look = await look(page, visit);
    found.theme = await useTheme(page, visit);
    found.studies = await readStudies(page, visit);
    found.users = await manageUsers(page, visit);
    found.keyboard = await useKeyboard(await open(), visit);
    found.withoutScript = await useWithoutScript(await open({ javaScriptEnabled: false }), visit);
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ ...found, errors: visit.errors, foreign: visit.foreign }));

// A window of its own, with the policy of the pages in force: any violation of it is an error here.
async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, ...options });
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => visit.errors.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error" && !/status of 40[134]/.test(message.text())) visit.errors.push(message.text()); });
  page.on("request", (request) => { if (!/^blob:/.test(request.url()) && !request.url().startsWith(address)) visit.foreign.push(request.url()); });
  return page;
}
