// What people read on the pages "Model" and "For programs", and where their links lead.
import { coloured, drawn, follow, heading, opened, tabThrough, text } from "./hands.mjs";

export async function readModel(page) {
  await follow(page, "Model");
  const found = { heading: await heading(page), inForce: await text(page.getByRole("region", { name: "In force here" })) };
  const scanner = page.getByRole("region", { name: "Scores per scanner" }).locator("article").first();
  found.scanner = await text(scanner);
  found.chart = await readChart(page, scanner.locator("svg"));
  await drawn(page);
  const plots = page.getByRole("region", { name: "Plots" }).locator("figure");
  found.plots = await plots.locator("img").evaluateAll((images) => images.map((image) => [image.naturalWidth, image.getBoundingClientRect().width]));
  found.captions = await plots.locator("figcaption").allInnerTexts();
  await opened(page, plots.first().getByRole("link").click());
  found.whole = await page.locator("img").evaluate((image) => image.naturalWidth);
  await opened(page, page.goBack());
  found.card = await text(page.getByRole("region", { name: "Model card" }));
  found.table = await moveTable(page);
  return found;
}

// A histogram as it is on the screen: the heights of its bars, where the threshold stands, how many pixels have a colour.
async function readChart(page, chart) {
  await chart.scrollIntoViewIfNeeded();
  const found = await chart.evaluate((drawing) => {
    const { left, width, height } = drawing.getBoundingClientRect();
    return {
      height,
      bars: [...drawing.querySelectorAll("rect")].map((bar) => bar.getBoundingClientRect().height),
      words: [...drawing.querySelectorAll("title")].map((words) => words.textContent),
      threshold: (drawing.querySelector(".threshold").getBoundingClientRect().left - left) / width,
    };
  });
  return { ...found, name: await chart.getAttribute("aria-label"), coloured: await coloured(page, chart) };
}

// A table of the card: where it does not fit, the keyboard moves it. Returns how much of it is hidden.
async function moveTable(page) {
  const table = page.locator(".card .scroll").first();
  const hidden = await table.evaluate((part) => part.scrollWidth - part.clientWidth);
  await table.focus();
  await page.keyboard.press("ArrowRight");
  if (hidden > 0) await page.waitForFunction((part) => part.scrollLeft > 0, await table.elementHandle());
  return hidden;
}

export async function readForPrograms(page) {
  await opened(page, page.getByRole("link", { name: "For programs" }).click());
  const found = { heading: await heading(page), tabs: await tabThrough(page), command: await text(page.locator("pre")), fields: {} };
  for (const part of await page.locator("h3").all()) {
    found.fields[await text(part)] = await part.locator("xpath=following-sibling::dl[1]").locator("dt").allInnerTexts();
  }
  const [answer] = await Promise.all([page.waitForResponse(/openapi\.json/), page.getByRole("link", { name: "openapi.json" }).click()]);
  const { paths, components } = await answer.json();
  found.described = { paths: Object.keys(paths), fields: Object.fromEntries(Object.entries(components.schemas).map(([name, { properties }]) => [name, Object.keys(properties)])) };
  await opened(page, page.goBack());
  await opened(page, page.getByRole("link", { name: "SecondRead" }).click());
  return { ...found, home: await heading(page) };
}
