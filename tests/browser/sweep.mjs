// Looks at every page at three sizes and in both themes: does it fit, what does axe-core say, and pictures of it.
import fs from "node:fs";
import { createRequire } from "node:module";
import { follow, opened } from "./hands.mjs";
import { answerProvider, fillIn } from "./sign_in.mjs";
import { makeToken } from "./users.mjs";

const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = { phone: [360, 740], screen: [1920, 1080], wall: [3840, 2160] };
const OF_PICTURES = { ...SIZES, desk: [1200, 800] }; // small enough to be read within a page of the docs
const LONGEST = 1700; // pixels of a picture: the rest is more of the same
const THEMES = ["light", "dark"];

// Each page by its address, or by the steps that lead to it.
const pagesOfUsers = ({ study, name }, result) => ({
  overview: "/", studies: "/studies", nothing: "/studies?q=ZZZ", study: `/studies/${study}`, analyse: "/analyse", result,
  model: "/model", users: openUsers, ...(name && { token: showToken }), api: "/api", problem: "/studies/1.2.3",
});
const pagesOfStrangers = ({ name, provider }) => ({
  "sign-in": "/sign-in", ...(name && { refused: meetRefusal }), ...(provider && { "signed-in": comeIn, "signed-out": goOut }),
});

export async function sweep(visit, { result, folder, names, storageState }) {
  const found = { looks: 0, violations: [], overflows: [] };
  // the windows of all sizes at once: each is drawn by a process of its own
  await Promise.all(Object.entries(folder ? OF_PICTURES : SIZES).map(async ([size, [width, height]]) => {
    for (const [pages, state] of [[pagesOfUsers(visit, result), storageState], [pagesOfStrangers(visit), undefined]]) {
      // the policy of the pages would forbid the test's own script
      const context = await visit.browser.newContext({ viewport: { width, height }, bypassCSP: true, storageState: state });
      const page = await context.newPage();
      for (const [name, place] of Object.entries(pages)) {
        const themes = THEMES.filter((theme) => !names.length || names.includes(`${name}-${size}-${theme}`));
        if (!themes.length) continue;
        if (typeof place === "string") await page.goto(`${visit.address}${place}`);
        else await place(page, visit, size);
        await look(page, { name, size, themes, folder, found });
      }
      await context.close();
    }
  }));
  return found;
}

async function look(page, { name, size, themes, folder, found }) {
  if (name === "overview" && !folder) await page.locator("#hours summary").click();
  for (const image of await page.locator("img[loading=lazy]").all()) await image.scrollIntoViewIfNeeded();
  await page.waitForFunction(() => [...document.images].every((image) => image.complete));
  await page.evaluate(() => scrollTo(0, 0));
  if (!folder) await page.evaluate(axe);
  for (const theme of themes) {
    await page.emulateMedia({ colorScheme: theme });
    found.looks += 1;
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) found.overflows.push(`${name} at ${size}, ${theme}: ${overflow} pixels`);
    if (folder) await keep(page, `${folder}/${name}-${size}-${theme}.jpg`);
    else await accuse(page, `${name} at ${size}, ${theme}`, found.violations, theme !== THEMES[0]);
  }
}

async function openUsers(page, { address }) {
  await page.goto(`${address}/users`);
  await page.locator("summary").last().click();
}

async function showToken(page, { address, name }, size) {
  await page.goto(address);
  await follow(page, "Users");
  await makeToken(page, `${name} you`, `sweep at ${size}`);
}

async function meetRefusal(page, { address }) {
  await page.goto(`${address}/sign-in`);
  await opened(page, fillIn(page, "nobody", "a wrong password"));
}

// The page that stands for a moment between the provider and the overview, which is kept from coming.
async function comeIn(page, { address }) {
  await page.goto(`${address}/sign-in/openid`);
  await page.route(`${address}/`, (route) => route.abort("aborted"));
  await answerProvider(page, "eve");
  await page.getByRole("heading", { name: "Signed in" }).waitFor();
}

async function goOut(page, { address }) {
  await page.unrouteAll();
  await page.goto(address);
  await opened(page, page.getByRole("button", { name: "Sign out" }).click());
}

async function keep(page, path) {
  const [width, height] = await page.evaluate(() => [innerWidth, document.documentElement.scrollHeight]);
  await page.screenshot({ path, type: "jpeg", quality: 58, fullPage: true, clip: { x: 0, y: 0, width, height: Math.min(height, LONGEST) } });
}

// A theme changes colours and nothing else: in the second one axe looks at colours alone.
async function accuse(page, where, violations, coloursAlone) {
  const options = { resultTypes: ["violations"], ...(coloursAlone && { runOnly: ["color-contrast", "link-in-text-block"] }) };
  const accused = await page.evaluate((chosen) => axe.run(chosen), options);
  for (const { id, impact, nodes } of accused.violations) violations.push(`${where}: ${impact} ${id}: ${nodes[0].html.slice(0, 200)}`);
}
