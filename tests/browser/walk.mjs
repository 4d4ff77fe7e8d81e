// Walks through a study in OHIF as a reader would, and prints what was seen as JSON; pictures go into a folder.
// node walk.mjs DIST ORTHANC_PORT CHROMIUM FOLDER STUDY_UID
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

const [dist, orthancPort, executablePath, folder, uid] = process.argv.slice(2);
const THUMBNAIL = '[data-cy^="study-browser-thumbnail"]';
const PATIENCE = 150_000; // of one step: software draws everything here
const SOFTWARE_DRAWS = ['--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'];

const { server, address } = await serve(dist, Number(orthancPort));
const browser = await chromium.launch({ executablePath, args: SOFTWARE_DRAWS });
try {
  console.log(JSON.stringify(await walk(uid)));
} finally {
  await browser.close();
  server.close();
}

async function walk(study) {
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  page.setDefaultTimeout(PATIENCE);
  const faults = [];
  page.on('console', message => { if (message.type() === 'error') faults.push(message.text()); });
  page.on('pageerror', error => faults.push(String(error.stack)));
  page.on('response', response => { if (response.status() >= 400) faults.push(`${response.status()} ${response.url()}`); });
  const picture = async name => { await page.screenshot({ path: `${folder}/${study}-${name}.png` }); };

  await page.goto(`${address}/viewer?StudyInstanceUIDs=${study}`, { waitUntil: 'domcontentloaded' });
  await page.addStyleTag({ content: '.shepherd-modal-overlay-container, .shepherd-element { display: none !important }' });
  await page.waitForFunction(thumbnail => document.querySelectorAll(thumbnail).length >= 6, THUMBNAIL);
  await page.waitForFunction(shown);
  const series = await page.locator(THUMBNAIL).allInnerTexts();

  // what has replaced earlier results has a number
  const current = Math.max(1, ...series.map(text => Number(text.match(/ report (\d+) /)?.[1] ?? 1)));
  const result = kind => (current === 1 ? ` ${kind} - ` : ` ${kind} ${current} - `);
  const pictures = [];
  for (const kind of ['summary', 'no region', 'heatmap'].filter(name => series.some(text => text.includes(result(name))))) {
    await open(page, result(kind));
    pictures.push(...await leaf(page, kind, picture));
  }
  const report = await open(page, result('report'));
  await page.getByRole('button', { name: 'Yes', exact: true }).last().click();
  await page.locator('[data-cy="trackedMeasurements-btn"]').click();
  const rows = page.getByText(/^AI .*Not for diagnosis\.$/);
  await rows.first().waitFor();
  const panel = (await page.locator('body').innerText()).split(/Measurements \(/)[1];

  const marks = [];
  for (let number = 0; number < await rows.count(); number += 1) {
    await rows.nth(number).click();
    await page.waitForFunction(drawnOnOther, marks.at(-1)?.image ?? null);
    marks.push({ label: await rows.nth(number).innerText(), ...await settled(page) });
    await picture(`mark-${number + 1}`);
  }
  await page.close();
  return { study, series, current, pictures, report, panel, marks, faults };
}

// Returns what is drawn once it stays as it is: the viewport moves to its place without an event.
async function settled(page) {
  for (let before, now; ; before = now) {
    now = JSON.stringify(await page.evaluate(drawn));
    if (now === before) return JSON.parse(now);
    await page.waitForTimeout(1000);
    await page.evaluate(() => new Promise(done => { requestAnimationFrame(() => requestAnimationFrame(() => done())); }));
  }
}

// Takes a picture of each image of the series that is open; returns the images, their places and OHIF's words on them.
async function leaf(page, kind, picture) {
  const images = [];
  const pane = page.locator('[data-cy="viewport-pane"]').first();
  const count = await page.evaluate(() => window.cornerstone.getEnabledElements()[0].viewport.getImageIds().length);
  await pane.hover(); // the keys go to where the mouse is
  for (let number = 1; number <= count; number += 1) {
    if (number > 1) await page.keyboard.press('ArrowDown');
    await page.waitForFunction(rendered, images.at(-1)?.image ?? null);
    const name = `${kind.replace(' ', '-')}-${number}`;
    await picture(name);
    images.push({ kind, name, ...await page.evaluate(drawn), words: await pane.innerText() });
  }
  return images;
}

// Opens the series whose thumbnail has the text, and returns the image that is then shown.
async function open(page, text) {
  const before = await page.evaluate(shown);
  const thumbnail = page.locator(THUMBNAIL).filter({ hasText: text }).first();
  await thumbnail.scrollIntoViewIfNeeded();
  await thumbnail.dblclick();
  const after = await page.waitForFunction(
    image => { const viewport = window.cornerstone.getEnabledElements()[0]?.viewport; const now = viewport?.csImage?.imageId; return now && now !== image && now; },
    before,
  );
  return after.jsonValue();
}

// The functions below run in the page.

function shown() {
  return window.cornerstone?.getEnabledElements?.()[0]?.viewport?.csImage?.imageId;
}

// Resolves with true once another image than the former one has reached the screen.
function rendered(former) {
  const { viewport } = window.cornerstone.getEnabledElements()[0];
  const now = viewport.csImage?.imageId;
  if (!now || now === former || viewport.viewportStatus !== 'rendered') return false;
  return new Promise(done => { requestAnimationFrame(() => requestAnimationFrame(() => done(true))); });
}

function drawnOnOther(image) {
  const now = window.cornerstone.getEnabledElements()[0]?.viewport?.csImage?.imageId;
  return now && now !== image && document.querySelectorAll('svg.svg-layer rect, svg.svg-layer path, svg.svg-layer polyline').length > 0;
}

// Returns the image, where its corners lie in the window, and the shapes and words that are drawn on it.
function drawn() {
  const { viewport } = window.cornerstone.getEnabledElements()[0];
  const image = viewport.csImage.imageId;
  const { left, top } = viewport.canvas.getBoundingClientRect();
  const corner = (column, row) => {
    const [x, y] = viewport.worldToCanvas(window.cornerstone.utilities.imageToWorldCoords(image, [column, row]));
    return [left + x, top + y];
  };
  const layer = document.querySelector('svg.svg-layer');
  const numbers = (shape, names) => names.map(name => Number(shape.getAttribute(name)));
  return {
    image,
    corners: [corner(0, 0), corner(viewport.csImage.columns, viewport.csImage.rows)],
    rectangles: [...layer.querySelectorAll('rect')].map(shape => numbers(shape, ['x', 'y', 'width', 'height']))
      .map(([x, y, width, height]) => [left + x, top + y, width, height]),
    lines: [...layer.querySelectorAll('path, polyline')].map(shape => shape.getAttribute('points') ?? shape.getAttribute('d')),
    words: [...layer.querySelectorAll('tspan')].map(word => word.textContent),
  };
}
