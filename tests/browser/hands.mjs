// What every visit needs: to read, to click, to look at pictures on the screen, to go through a page with the keyboard.
import fs from "node:fs";

export const text = async (locator) => (await locator.innerText()).replaceAll(/\s+/g, " ").trim();
export const heading = (page) => text(page.locator("h1"));
export const opened = (page, click) => Promise.all([page.waitForEvent("load"), click]);
export const follow = (page, name) => opened(page, page.getByRole("navigation", { name: "Pages", exact: true }).getByRole("link", { name, exact: true }).click());

export async function ended(page) {
  await page.waitForFunction(() => document.querySelector(".answer, .alert") && !document.querySelector(".image progress"), undefined, { timeout: 250_000 });
}

// Waits until every picture is on the page, wherever it scrolls to.
export async function drawn(page) {
  for (const image of await page.locator("img").all()) await image.scrollIntoViewIfNeeded();
  await page.waitForFunction(() => [...document.images].every((image) => image.complete && image.naturalWidth > 100));
}

// How many pixels of a part of the page, as it is on the screen, have a colour.
export async function coloured(page, part) {
  const picture = await part.screenshot();
  return page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    canvas.drawImage(bitmap, 0, 0);
    const { data } = canvas.getImageData(0, 0, bitmap.width, bitmap.height);
    let count = 0;
    for (let at = 0; at < data.length; at += 4) count += Math.max(data[at], data[at + 1], data[at + 2]) - Math.min(data[at], data[at + 1], data[at + 2]) > 24;
    return count;
  }, picture.toString("base64"));
}

export async function kept(page, link) {
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  const content = fs.readFileSync(await download.path());
  return [download.suggestedFilename(), content.subarray(0, 2).toString("latin1"), content.subarray(128, 132).toString("latin1")];
}

// Goes through a page that was opened just now with the key Tab alone. Returns what it does not reach, and what has the
// focus without showing it: no outline, one that nobody tells from what is behind it, or one that is cut off.
export async function tabThrough(page) {
  await drawn(page); // a picture that comes late moves what is below it
  await page.evaluate(() => scrollTo(0, 0));
  const places = await page.evaluate(() => {
    const all = document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']");
    globalThis.unreached = new Set([...all].filter((place) => !place.disabled && place.checkVisibility({ visibilityProperty: true })));
    return unreached.size;
  });
  const unseen = [];
  for (let step = 0; step < places + 2; step += 1) { // between the last place and the first nothing has the focus
    await page.keyboard.press("Tab");
    const name = await page.evaluate(nameIfUnseen);
    if (name) unseen.push(name);
  }
  const missed = await page.evaluate(() => [...unreached].filter((place) => place.isConnected).map((place) => place.outerHTML.slice(0, 100)));
  return { places, missed, unseen };
}

export async function tabTo(page, selector) {
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
  }
  throw new Error(`the key Tab does not reach ${selector}`);
}

// Runs in the page: returns a name of what has the focus where nobody sees that it has.
function nameIfUnseen() {
  const place = document.activeElement;
  unreached.delete(place);
  if (!place || place === document.body || place === document.documentElement) return null;
  const { outlineStyle, outlineWidth, outlineOffset, outlineColor } = getComputedStyle(place);
  const reach = parseFloat(outlineWidth) + parseFloat(outlineOffset);
  const box = place.getBoundingClientRect();
  const [left, right, top, bottom] = [box.left - reach, box.right + reach, box.top - reach, box.bottom + reach];
  const brightness = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  let behind;
  let whole = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  for (let around = place.parentElement; around; around = around.parentElement) {
    const { backgroundColor, overflowX } = getComputedStyle(around);
    if (!behind && !/^rgba\(.* 0\)$/.test(backgroundColor)) behind = backgroundColor;
    if (overflowX === "visible" || around === document.body || around === document.documentElement) continue;
    const frame = around.getBoundingClientRect();
    whole &&= left >= frame.left - 1 && right <= frame.right + 1 && top >= frame.top - 1 && bottom <= frame.bottom + 1;
  }
  const [dark, light] = [brightness(outlineColor), brightness(behind)].sort((one, two) => one - two);
  const clear = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && (light + 0.05) / (dark + 0.05) >= 3;
  return clear && whole ? null : `${clear ? "cut off" : "not clear"}: ${place.outerHTML.slice(0, 100)}`;
}
