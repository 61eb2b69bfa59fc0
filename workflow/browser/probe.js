// What a page holds, for workflow/look.py.
const inside = document.querySelector('article') || document.body;
const text = inside.cloneNode(true);
text.querySelectorAll('pre, code, dt.sig, script, style, mjx-container').forEach(e => e.remove());
const blank = [];
for (const image of document.querySelectorAll('article img')) {
  const name = image.alt || image.src.slice(0, 60);
  if (!image.complete || image.naturalWidth === 0) { blank.push(name + ' (not loaded)'); continue; }
  if (image.src.endsWith('.svg')) continue;
  const canvas = document.createElement('canvas');
  canvas.width = 64; canvas.height = 64;
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0, 64, 64);
  const data = context.getImageData(0, 0, 64, 64).data;
  let low = 255, high = 0;
  for (let i = 0; i < data.length; i += 4) {
    low = Math.min(low, data[i], data[i + 1], data[i + 2]);
    high = Math.max(high, data[i], data[i + 1], data[i + 2]);
  }
  if (high - low < 20) blank.push(name + ' (blank)');
}
const unnamed = Array.from(document.querySelectorAll('article img'))
  .filter(i => !i.alt || /^(_?images?|\.\.\/|[0-9a-f]{32})/.test(i.alt))
  .map(i => i.src.slice(-60));
const frames = Array.from(document.querySelectorAll('.sftkd-explore script[type="application/json"]'))
  .flatMap(script => JSON.parse(script.textContent))
  .filter(frame => !frame.startsWith('data:'))
  .map(frame => new URL(frame, document.baseURI).href);
return {
  loaded: performance.getEntriesByType('resource').map(e => e.name),
  text: text.textContent,
  blank: blank,
  unnamed: unnamed,
  links: Array.from(document.querySelectorAll('a[href]')).map(a => a.href).concat(frames),
  ids: Array.from(document.querySelectorAll('[id]')).map(e => e.id),
  explorers: document.querySelectorAll('.sftkd-explore').length,
  formulas: document.querySelectorAll('.math').length,
  rendered: document.querySelectorAll('mjx-container').length,
  title: document.title,
};
