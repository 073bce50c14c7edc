// What pages gain from scripts: theme without a reload, copy buttons, modal dialogs, local times,
// toasts that leave. Everything here has a way that works without it.
(() => {
  const root = document.documentElement;
  const each = (scope, selector, act) => {
    if (scope.matches?.(selector)) act(scope);
    scope.querySelectorAll(selector).forEach(act);
  };

  // Theme: the links work alone (?theme=dark sets the cookie); here they switch in place.
  const setTheme = (theme) => {
    document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=lax`;
    root.dataset.theme = theme;
    each(document, "[data-theme-choice]", markTheme);
    document.dispatchEvent(new CustomEvent("flowlink:theme"));
  };
  const markTheme = (link) => {
    if (link.dataset.themeChoice === root.dataset.theme) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    document.dispatchEvent(new CustomEvent("flowlink:theme")),
  );

  // Times: written in UTC by the server, shown in the reader's own zone.
  const format = new Intl.DateTimeFormat(root.lang === "en" ? "en-GB" : root.lang, {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
  });
  const localize = (time) => {
    if (time.title) return;
    time.title = time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    button.dataset.copied = "";
    document.getElementById("spoken").textContent = button.dataset.done;
    setTimeout(() => delete button.dataset.copied, 1800);
  };

  const leave = (toast) => {
    if (toast.dataset.tone !== "danger") setTimeout(() => toast.remove(), 6000);
  };

  // On a phone the open tab may lie outside of its row.
  const show = (tab) => {
    const row = tab.parentElement;
    row.scrollLeft = tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
  };

  // Charts: their scripts are fetched by the first page that has one.
  const sources = document.currentScript.dataset.charts.split(" ");
  const loadCharts = () => {
    const next = sources.shift();
    if (!next) return;
    const script = document.createElement("script");
    script.src = next;
    script.onload = loadCharts;
    document.head.append(script);
  };

  const start = (scope) => {
    if (scope.querySelector("canvas[data-chart]")) loadCharts();
    each(scope, "time[data-local]", localize);
    each(scope, ".toast", leave);
    each(scope, ".tabs-nav [aria-current]", show);
    each(scope, "[data-needs-script]", (part) => part.removeAttribute("hidden"));
  };

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-copy], [data-theme-choice], [data-dismiss], [data-modal]");
    if (!target) return;
    if (target.dataset.copy) copy(target);
    if (target.dataset.themeChoice) {
      event.preventDefault();
      setTheme(target.dataset.themeChoice);
    }
    if ("dismiss" in target.dataset) target.closest(".toast").remove();
    if (target.dataset.modal) {
      // A popover opens without script; a modal dialog also keeps the focus inside.
      event.preventDefault();
      document.getElementById(target.dataset.modal).showModal();
    }
  });

  document.addEventListener("click", (event) => {
    const close = event.target.closest("dialog[open] [popovertargetaction=hide]");
    if (!close) return;
    event.preventDefault();
    close.closest("dialog").close();
  });

  document.addEventListener("htmx:after:swap", () => start(document.body));
  // A second press on a form's button must not send it twice.
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || event.defaultPrevented) return;
    setTimeout(() => (button.disabled = true));
    addEventListener("pageshow", () => (button.disabled = false), { once: true });
  });
  document.addEventListener("htmx:finally:request", () =>
    each(document, "button[disabled]:not([data-off])", (button) => (button.disabled = false)),
  );

  start(document.body);
})();
