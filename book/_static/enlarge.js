// A click on a figure, or Enter on it, shows it as large as the window; any key or click closes it.
document.addEventListener("DOMContentLoaded", function () {
  const dialog = document.createElement("dialog");
  const large = document.createElement("img");
  dialog.className = "sftkd-large";
  dialog.append(large);
  document.body.append(dialog);
  dialog.addEventListener("click", function () { dialog.close(); });
  dialog.addEventListener("keydown", function () { dialog.close(); });
  document.querySelectorAll("article figure img").forEach(function (image) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sftkd-enlarge";
    button.title = "Enlarge this figure";
    image.replaceWith(button);
    button.append(image);
    button.addEventListener("click", function () {
      large.src = image.src;
      large.alt = image.alt;
      dialog.setAttribute("aria-label", image.alt);
      dialog.showModal();
    });
  });
});
