// What people do in every size and theme, from the sign-in to the sign-out; each step returns what it saw.
import { coloured, drawn, ended, follow, heading, kept, opened, tabThrough, text } from "./hands.mjs";
import { lockOut, lookAsViewer, passProvider, signInByKeys, signOut } from "./sign_in.mjs";
import { readForPrograms, readModel } from "./reading.mjs";
import { manageUsers, unlock } from "./users.mjs";

// Every page, by an administrator who comes with the keyboard alone; then those that a viewer and a stranger see. The
// round has a study, a destination and a forgetful viewer of its own: others go round at the same time.
export async function goRound(page, visit, { name, study, destination }) {
  const forgetful = `forgetful-${name}`;
  return {
    lockedOut: await lockOut(page, visit, forgetful),
    signIn: await signInByKeys(page, visit),
    unlocked: await unlock(page, forgetful),
    pages: await followLinks(page),
    again: await sendAgain(page, destination),
    studies: await readStudies(page, study),
    analyse: await analyseChosen(page, [visit.files[0], visit.files.at(-1)]),
    users: await manageUsers(page, visit, `nora-${name}`),
    model: await readModel(page),
    programs: await readForPrograms(page),
    out: await signOut(page, visit.address),
    viewer: await lookAsViewer(page, { ...visit, study }, forgetful),
    provider: await passProvider(page, visit),
  };
}

// Every page by its link, and through each with the key Tab; the list of studies is short later.
async function followLinks(page) {
  const found = [];
  for (const name of ["Analyse a file", "Model", "Users", "Overview"]) {
    await follow(page, name);
    found.push({ heading: await heading(page), tabs: await tabThrough(page) });
  }
  return found;
}

// Sees what the last day brought, and mends what needs a person with its button.
async function sendAgain(page, destination) {
  const needs = page.locator(".alarms li");
  const alarm = needs.filter({ hasText: destination });
  const found = { alarm: await text(alarm), background: await page.evaluate(() => getComputedStyle(document.body).backgroundColor) };
  await page.locator("#hours summary").click();
  found.hours = await page.locator("#hours tbody tr").filter({ visible: true }).count();
  await opened(page, alarm.getByRole("button", { name: "Send again" }).click());
  const peer = page.getByRole("region", { name: "Peers" }).locator("tbody tr").filter({ hasText: destination });
  return { ...found, said: await text(page.getByRole("status")), left: await needs.allInnerTexts(), peer: await peer.locator("td").allInnerTexts() };
}

async function readStudies(page, study) {
  const found = {};
  await follow(page, "Studies");
  const rows = page.locator("tbody tr");
  found.first = [await rows.count(), await text(page.locator("nav.pages"))];
  await page.getByRole("link", { name: "Older" }).click();
  await page.waitForURL(/page=2/);
  found.second = [await rows.count(), await text(page.locator("nav.pages"))];
  await page.getByRole("link", { name: "Newer" }).click();
  await page.waitForURL(/page=1/);
  await page.getByLabel("Show").selectOption("need a person");
  await opened(page, page.getByRole("button", { name: "Search" }).click());
  found.needed = await text(page.locator("main > p:not([data-silence])").first());
  await page.getByRole("searchbox").fill("ZZZ");
  await opened(page, page.getByRole("button", { name: "Search" }).click());
  found.none = await text(page.locator(".empty"));
  await opened(page, page.getByRole("link", { name: "Show all" }).click());
  await page.getByRole("searchbox").fill(study.slice(-12));
  await opened(page, page.getByRole("searchbox").press("Enter"));
  found.found = await text(page.locator("main > p:not([data-silence])").first());
  found.list = { tabs: await tabThrough(page) };
  found.named = [await text(rows.first())];
  await opened(page, page.getByRole("button", { name: "Show who they are" }).click());
  found.named.push(await text(rows.first()));
  await opened(page, rows.first().getByRole("link").click());
  found.tabs = await tabThrough(page);
  return { ...found, ...(await readStudy(page)) };
}

async function readStudy(page) {
  const found = { state: await text(page.locator("h1 .state")) };
  found.coloured = await faded(page);
  const sides = await page.locator(".pair").first().locator("figure").evaluateAll((figures) => figures.map((figure) => figure.getBoundingClientRect().left));
  found.beside = sides[0] < sides[1];
  found.bars = await page.locator(".image").first().locator(".scores .number").allInnerTexts();
  await page.getByText("read all of it").click();
  found.report = await text(page.locator(".tree").first());
  found.deliveries = await text(page.getByRole("region", { name: "Deliveries" }));
  found.history = await text(page.getByRole("region", { name: "History" }));
  await opened(page, page.getByRole("link", { name: "Show who it is" }).click());
  found.identity = await text(page.locator(".facts").first());
  found.downloads = [await kept(page, page.getByRole("link", { name: "Download results" })), await kept(page, page.locator("td a").first())];
  await opened(page, page.getByRole("button", { name: "Retry now" }).click());
  found.retried = await text(page.getByRole("status"));
  await opened(page, page.getByRole("button", { name: "Analyse again" }).click());
  found.again = await text(page.getByRole("status"));
  found.stateAgain = await text(page.locator("h1 .state"));
  return found;
}

// Chooses files, sees what became of them, fades the heatmap, finds them again, and has them forgotten.
async function analyseChosen(page, files) {
  await follow(page, "Analyse a file");
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.locator("input[type=file]").click()]);
  await chooser.setFiles(files);
  await page.waitForURL(/\/analyse\/.+/);
  await ended(page);
  const found = { answer: await text(page.locator(".answer")), alert: await text(page.getByRole("alert")) };
  found.coloured = await faded(page);
  found.heatmap = await kept(page, page.getByRole("link", { name: "Download heatmap" }));
  await opened(page, page.getByRole("link", { name: "Analyse another file" }).click());
  const earlier = page.getByRole("region", { name: "In this session" });
  found.earlier = await text(earlier);
  await opened(page, earlier.getByRole("link").click());
  found.tabs = await tabThrough(page);
  await opened(page, page.getByRole("button", { name: "Forget these files now" }).click());
  return { ...found, forgotten: [await heading(page), await earlier.count()] };
}

// Fades the first heatmap with its slider: its colours before, without it, and with all of it again.
async function faded(page) {
  await drawn(page);
  const fader = page.locator("[data-fader]").first();
  const picture = page.locator(".stacked").first();
  const found = [await coloured(page, picture)];
  for (const key of ["Home", "End"]) {
    await fader.press(key);
    found.push(await coloured(page, picture));
  }
  return found;
}
