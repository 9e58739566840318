/* Sets the theme before the first paint; a classic script, because modules run after it. Dark is the default; the system's
   preference counts only for those who chose "system". */
(() => {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: light)");
  const choices = ["dark", "light", "system"];
  root.classList.remove("no-js");

  function stored() {
    try {
      const choice = localStorage.getItem("theme");
      return choices.includes(choice) ? choice : "dark";
    } catch {
      return "dark"; // storage may be forbidden
    }
  }

  let choice = stored();

  function apply() {
    root.dataset.theme = choice === "system" ? (system.matches ? "light" : "dark") : choice;
    const button = document.getElementById("theme-switch");
    if (button) {
      button.title = `Theme: ${choice}`;
      button.setAttribute("aria-label", `Theme: ${choice}`);
    }
  }

  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme-switch")?.addEventListener("click", () => {
      choice = choices[(choices.indexOf(choice) + 1) % choices.length];
      try {
        localStorage.setItem("theme", choice);
      } catch {
        // the choice then lasts for this page only
      }
      apply();
    });
  });
})();
