// Everything that a click would open is open, and nothing scrolls: paper has no bars; for workflow/pdf.py.
document.documentElement.dataset.theme = 'light';
document.querySelectorAll('details').forEach(details => details.open = true);
document.querySelectorAll('.toggle-hidden').forEach(box => box.classList.remove('toggle-hidden'));
const style = document.createElement('style');
style.textContent = `
  article pre, .cell_input pre, .highlight pre { white-space: pre-wrap !important; overflow: visible !important; }
  article table { font-size: 8pt !important; }
  article table th, article table td { white-space: normal !important; overflow-wrap: anywhere; padding: 2px 4px !important; }
  article .cell_output, article .output, .pst-scrollable-table-container { overflow: visible !important; }
  article figure, article img { break-inside: avoid; }
  .prev-next-footer, .bd-header-article, .toggle-button { display: none !important; }`;
document.head.append(style);
