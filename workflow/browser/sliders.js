// The sliders of a page that change nothing, for workflow/look.py.
const stuck = [];
function set(input, value) { input.value = value; input.dispatchEvent(new Event('input')); }
for (const box of document.querySelectorAll('.sftkd-explore')) {
  const inputs = Array.from(box.querySelectorAll('input[type=range]'));
  const picture = () => box.querySelector('img').src;
  for (const input of inputs) {
    if (Number(input.max) === 0) continue;
    let changes = false;
    for (const end of ['min', 'max']) {  // of the others: at one end this one may not matter
      inputs.forEach(other => set(other, other[end]));
      set(input, 0);
      const before = picture();
      set(input, input.max);
      changes = changes || picture() !== before;
    }
    if (!changes) stuck.push(input.getAttribute('aria-label'));
  }
  inputs.forEach(input => set(input, 0));
}
return stuck;
