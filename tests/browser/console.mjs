// Uses the console as people do and looks at every page of it; prints what it saw as JSON. Signs in where CONSOLE_USER
// holds name:password; vera, a viewer, has the same password.
//   node console.mjs ADDRESS CHROMIUM STUDY,STUDY,STUDY FILE,FILE
// Each size has a study of its own. With a folder it only takes pictures, of all pages, or of those named, such as study-desk-dark:
//   node console.mjs ADDRESS CHROMIUM STUDY FILE,FILE FOLDER [NAME…]
import { chromium } from "playwright-core";
import { sweep } from "./sweep.mjs";
import {
  analyse, analyseChosen, look, manageUsers, readStudies, sendAgain, signIn, useKeyboard, useTheme, useWithoutScript,
} from "./visit.mjs";

const SIZES = {
  desk: { viewport: { width: 1280, height: 900 } },
  phone: { viewport: { width: 360, height: 740 } },
  wall: { viewport: { width: 3840, height: 2160 }, colorScheme: "dark" },
};
const DESTINATIONS = { desk: "ONE", phone: "TWO", wall: "THREE" };

const [address, executablePath, named, files, folder, ...names] = process.argv.slice(2);
const studies = Object.fromEntries(named.split(",").map((study, at) => [Object.keys(SIZES)[at], study]));
const study = studies.desk;
const [name, password] = (process.env.CONSOLE_USER ?? ":").split(":");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const visit = { browser, address, study, files: files.split(","), name, password, errors: [], foreign: [] };
const found = {};

try {
  const page = await open(SIZES.desk);
  if (name) found.signIn = await signIn(page, visit);
  found.analyse = await analyse(page, visit);
  const storageState = await page.context().storageState();
  const pages = { result: found.analyse.address, studies: "/studies", study: `/studies/${study}`, users: "/users" };
  found.sweep = await sweep(visit, { ...pages, folder, names, storageState });
  if (!folder) {
    found.look = await look(page, visit);
    found.theme = await useTheme(page, visit);
    found.walks = {};
    for (const size of Object.keys(SIZES)) found.walks[size] = await walk(size, storageState);
    found.keyboard = await useKeyboard(await open(SIZES.desk), visit);
    found.withoutScript = await useWithoutScript(await open({ ...SIZES.desk, javaScriptEnabled: false }), visit);
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ ...found, errors: visit.errors, foreign: visit.foreign }));

// What people do in any size: mend a peer, read a study, analyse files that they choose, say who may.
async function walk(size, storageState) {
  const page = await open({ ...SIZES[size], storageState });
  await page.goto(address);
  const seen = {
    again: await sendAgain(page, DESTINATIONS[size]),
    studies: await readStudies(page, { study: studies[size] }),
    analyse: await analyseChosen(page, { ...visit, files: [visit.files[0], visit.files.at(-1)] }),
    users: await manageUsers(page),
  };
  await page.context().close();
  return seen;
}

// A window of its own, with the policy of the pages in force: any violation of it is an error here.
async function open(options) {
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => visit.errors.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error" && !/status of 40[134]/.test(message.text())) visit.errors.push(message.text()); });
  page.on("request", (request) => { if (!/^blob:/.test(request.url()) && !request.url().startsWith(address)) visit.foreign.push(request.url()); });
  return page;
}
