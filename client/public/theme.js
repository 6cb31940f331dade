// Sets the chosen theme before the first paint. A file of its own, so that no inline script needs to be allowed.
(function () {
  var choice = null;
  try {
    choice = localStorage.getItem("errand.theme");
  } catch (e) {
    choice = null;
  }
  var dark = choice === "dark" || (choice !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
