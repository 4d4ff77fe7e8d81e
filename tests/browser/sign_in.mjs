// How people come in and go out: with a wrong password and the right one, too often, by a provider, and to stay outside.
import { heading, opened, tabThrough, tabTo, text } from "./hands.mjs";

export async function signIn(page, { address, name, password }) {
  await page.goto(`${address}/model`);
  const found = { asked: new URL(page.url()).pathname };
  found.refused = await refused(page, name, "a wrong password");
  await fillIn(page, name, password);
  await page.waitForURL(`${address}/`);
  return { ...found, heading: await heading(page) };
}

// The same with the keyboard alone.
export async function signInByKeys(page, { address, name, password }) {
  await page.goto(address);
  const tabs = await tabThrough(page);
  await page.goto(address);
  await tabTo(page, "#name");
  await page.keyboard.type(name);
  await tabTo(page, "#password");
  await page.keyboard.type(password);
  await opened(page, page.keyboard.press("Enter"));
  return { tabs, heading: await heading(page) };
}

// Somebody has forgotten the password, and has tried it often: now the right one is refused in the same words.
export async function lockOut(page, { address, password }, name) {
  await page.goto(`${address}/sign-in`);
  return [await refused(page, name, "a wrong password"), await refused(page, name, password)];
}

// A viewer whom the administrator has unlocked comes in, meets what only others may, and goes out.
export async function lookAsViewer(page, { address, password, study }, name) {
  await page.goto(`${address}/sign-in`);
  await fillIn(page, name, password);
  await page.waitForURL(`${address}/`);
  const found = { links: await page.getByRole("navigation", { name: "Pages" }).getByRole("link").allInnerTexts() };
  found.who = await text(page.locator("footer"));
  await page.goto(`${address}/studies/${study}`);
  found.buttons = await page.locator("main button").count();
  await page.goto(`${address}/users`);
  found.problem = await text(page.locator("main"));
  await opened(page, page.getByRole("link", { name: "To the overview" }).click());
  found.back = await heading(page);
  return { ...found, out: await signOut(page, address) };
}

// Signs out; what was open before asks for the sign-in then.
export async function signOut(page, address) {
  const cookies = await page.context().cookies();
  await opened(page, page.getByRole("button", { name: "Sign out" }).click());
  const found = [await heading(page)];
  await page.goto(`${address}/studies`);
  found.push(await heading(page));
  await page.context().addCookies(cookies); // whoever has kept them is a stranger, too
  await page.goto(`${address}/studies`);
  return [...found, await heading(page)];
}

// In and out by the OpenID provider, which asks twice: who it is, and whether the console may know.
export async function passProvider(page, { address }) {
  await page.goto(`${address}/sign-in`);
  await opened(page, page.getByRole("link", { name: "Sign in at 127.0.0.1" }).click());
  await answerProvider(page, "eve");
  await page.waitForURL(`${address}/`);
  const found = { who: await text(page.locator("footer")) };
  await opened(page, page.getByRole("button", { name: "Sign out" }).click());
  found.out = await text(page.locator("main"));
  found.tabs = await tabThrough(page);
  found.provider = await page.getByRole("link", { name: "Sign out there too" }).getAttribute("href");
  await opened(page, page.getByRole("link", { name: "Sign in again" }).click());
  found.again = await heading(page);
  return found;
}

export async function answerProvider(page, name) {
  await page.locator("input[name=login]").fill(name);
  await page.locator("input[name=password]").fill("any");
  await opened(page, page.locator("[type=submit]").click());
  await page.locator("[type=submit]").click();
}

export async function fillIn(page, name, password) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function refused(page, name, password) {
  await opened(page, fillIn(page, name, password));
  return text(page.getByRole("alert"));
}
