// Runs before the first paint, so that neither theme nor hidden amounts flash.
(() => {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (localStorage.getItem("amounts") === "hidden") root.dataset.amounts = "hidden";
  } catch { /* storage is refused: the system's theme, amounts shown */ }
})();
