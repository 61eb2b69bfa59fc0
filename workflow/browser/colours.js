// One element for each way in which text of the page is coloured gets the attribute data-colours,
// for workflow/look.py: code has thousands of words in a handful of colours.
const seen = new Set();
const grounds = new Map();
function ground(element) {
  if (!element) return 'none';
  if (!grounds.has(element)) {
    const colour = getComputedStyle(element).backgroundColor;
    const clear = /, 0\)$/.test(colour);
    const below = clear || colour.startsWith('rgba') ? ground(element.parentElement) : '';
    grounds.set(element, clear ? below : colour + below);
  }
  return grounds.get(element);
}
document.querySelectorAll('[data-colours]').forEach(e => e.removeAttribute('data-colours'));
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || element.getClientRects().length === 0) continue;
  const style = getComputedStyle(element);
  const look = [style.color, style.fontSize, style.fontWeight, style.opacity, style.visibility,
    ground(element)].join(' ');
  if (!seen.has(look)) element.setAttribute('data-colours', '');
  seen.add(look);
}
return seen.size;
