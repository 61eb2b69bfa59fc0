// Code, tables and formulas that are wider than where they stand, for workflow/look.py.
// Each is found with the first box around it that does not show all of it.
const found = [];
const wide = 'article pre, article table, article mjx-container[display="true"]';
for (const element of document.querySelectorAll(wide)) {
  if (element.getClientRects().length === 0) continue;  // in a folded part
  for (let box = element; box && box.tagName !== 'ARTICLE'; box = box.parentElement) {
    const style = getComputedStyle(box);
    if (style.overflowX === 'visible' || box.clientWidth === 0) continue;
    if (box.scrollWidth <= box.clientWidth + 1) continue;
    const borders = parseFloat(style.borderTopWidth) + parseFloat(style.borderBottomWidth);
    const bar = box.offsetHeight - box.clientHeight - borders;
    const heading = (element.closest('section') || {id: ''}).id;
    found.push({
      kind: element.tagName === 'PRE' && !element.closest('.cell_input') ? 'PRINTED' : element.tagName,
      name: element.textContent.trim().replace(/\s+/g, ' ').slice(0, 40) || heading,
      reachable: ['auto', 'scroll'].includes(style.overflowX) && bar >= 5,
      over: box.scrollWidth - box.clientWidth,
    });
    break;
  }
}
return {
  found: found,
  page: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  of: document.querySelectorAll(wide).length,
};
