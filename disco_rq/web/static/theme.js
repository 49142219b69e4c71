// Loaded before the first paint, so that no page flashes in the wrong theme: the reader's choice, else the system's.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try { return localStorage.getItem("disco-theme"); } catch { return null; }
  };
  const apply = () => { document.documentElement.dataset.theme = chosen() || (system.matches ? "dark" : "light"); };
  apply();
  system.addEventListener("change", apply);
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-toggle-theme]")) return;
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("disco-theme", theme); } catch { /* a private window: for this page only */ }
    document.documentElement.dataset.theme = theme;
  });
})();
