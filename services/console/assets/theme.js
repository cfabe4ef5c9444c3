// Sets the theme before anything is drawn: what was chosen here before, else what the system prefers.
(() => {
  "use strict";
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
