// What an administrator does with users, and what a program does with the token that it is given.
import { request } from "playwright-core";
import fs from "node:fs";
import path from "node:path";
import { follow, opened, text } from "./hands.mjs";

export async function unlock(page, name) {
  await follow(page, "Users");
  const user = page.getByRole("region", { name, exact: true });
  const before = await text(user);
  await opened(page, user.getByRole("button", { name: `Unlock ${name}` }).click());
  return { before, after: await text(user) };
}

export async function manageUsers(page, visit, name) {
  const found = {};
  await follow(page, "Users");
  const form = page.locator("form.sign-in");
  await form.getByLabel("Name").fill(name);
  await form.getByLabel("Role").selectOption("operator");
  await form.getByLabel("Password").fill("a long enough password");
  await opened(page, form.getByRole("button", { name: "Add user" }).click());
  const user = page.getByRole("region", { name, exact: true });
  found.added = await text(user);
  await makeToken(page, name, "grafana");
  found.token = await text(page.getByRole("status"));
  found.program = await callAsProgram(visit, /srt_[\w-]+/.exec(found.token)[0]);
  await user.locator("summary").click();
  await opened(page, user.getByRole("button", { name: "Revoke grafana" }).click());
  found.revoked = await callAsProgram(visit, /srt_[\w-]+/.exec(found.token)[0]);
  await opened(page, user.getByRole("button", { name: `Disable ${name}` }).click());
  found.disabled = await text(user);
  await opened(page, user.getByRole("button", { name: `Remove ${name}` }).click());
  found.left = await page.locator(".user h2").allInnerTexts();
  return found;
}

export async function makeToken(page, name, label) {
  const user = page.getByRole("region", { name, exact: true });
  await user.locator("summary").click();
  await user.getByLabel("Token for").fill(label);
  await opened(page, user.getByRole("button", { name: "Make token" }).click());
}

// Asks as the page "For programs" says, with a file that is no picture: how it is answered, and with which fields.
async function callAsProgram({ address, files }, token) {
  const program = await request.newContext({ extraHTTPHeaders: { Authorization: `Bearer ${token}` } });
  const image = { name: path.basename(files[1]), mimeType: "image/png", buffer: fs.readFileSync(files[1]) };
  const answer = await program.post(`${address}/predict`, { multipart: { image } });
  const found = { status: answer.status(), answer: await answer.json() };
  await program.dispose();
  return found;
}
