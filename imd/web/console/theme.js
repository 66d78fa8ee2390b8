// Runs before the first paint, so that a chosen theme does not flash the other one.
(function () {
  "use strict";
  var chosen = null;
  try {
    chosen = localStorage.getItem("imd.theme");
  } catch (error) {
    chosen = null; // a browser that keeps nothing follows the system
  }
  if (chosen === "light" || chosen === "dark") {
    document.documentElement.setAttribute("data-theme", chosen);
  }
})();
