// Serves OHIF (the folder dist of its npm package) on loopback and hands /dicom-web on to Orthanc: one origin, so no CORS.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const TYPES = {
  '.css': 'text/css', '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json',
  '.png': 'image/png', '.svg': 'image/svg+xml', '.wasm': 'application/wasm', '.woff2': 'font/woff2',
};
// A page with these headers may share memory, which the decoders of OHIF use.
const ISOLATED = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

const SOURCE = {
  namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
  sourceName: 'dicomweb',
  configuration: {
    friendlyName: 'Orthanc', name: 'orthanc', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web', wadoUriRoot: '/wado',
    imageRendering: 'wadors', thumbnailRendering: 'wadors', enableStudyLazyLoad: true, supportsWildcard: true,
    qidoSupportsIncludeField: false, singlepart: 'bulkdata', omitQuotationForMultipartRequest: true,
    bulkDataURI: { enabled: true },
  },
};
const CONFIGURATION = {
  routerBasename: '/', extensions: [], modes: [], customizationService: {}, showStudyList: true, maxNumberOfWebWorkers: 2,
  showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: false, showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true, useSharedArrayBuffer: 'FALSE', investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'dicomweb', dataSources: [SOURCE],
};

// Returns the server and its address, for example http://127.0.0.1:40123.
export async function serve(dist, orthancPort) {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://loopback');
    if (pathname.startsWith('/dicom-web')) return forward(request, response, orthancPort);
    if (pathname === '/app-config.js') return answer(response, '.js', `window.config = ${JSON.stringify(CONFIGURATION)};`);
    const file = path.join(dist, decodeURIComponent(pathname));
    const found = file.startsWith(dist) && fs.existsSync(file) && fs.statSync(file).isFile();
    const shown = found ? file : path.join(dist, 'index.html'); // the page itself knows its routes
    return answer(response, path.extname(shown), fs.readFileSync(shown));
  });
  await new Promise(listening => server.listen(0, '127.0.0.1', listening));
  return { server, address: `http://127.0.0.1:${server.address().port}` };
}

function answer(response, extension, body) {
  response.writeHead(200, { 'Content-Type': TYPES[extension] ?? 'application/octet-stream', ...ISOLATED });
  response.end(body);
}

// Orthanc makes the addresses of bulk data from the header Host: it is left as the browser sent it.
function forward(request, response, port) {
  const { method, url, headers } = request;
  const onward = http.request({ host: '127.0.0.1', port, path: url, method, headers }, received => {
    response.writeHead(received.statusCode, received.headers);
    received.pipe(response);
  });
  onward.on('error', error => { response.writeHead(502); response.end(String(error)); });
  request.pipe(onward);
}
