// Charts out of <canvas data-chart="{…}">, in the page's colours; each has a table beside it.
(() => {
  const lang = document.documentElement.lang === "en" ? "en-GB" : "fr-FR";
  const plain = new Intl.NumberFormat(lang, { maximumFractionDigits: 2 });
  const short = new Intl.NumberFormat(lang, { notation: "compact", maximumFractionDigits: 1 });
  const euros = new Intl.NumberFormat(lang, { style: "currency", currency: "EUR" });
  const shortEuros = new Intl.NumberFormat(lang, {
    style: "currency", currency: "EUR", notation: "compact", maximumFractionDigits: 1, minimumFractionDigits: 0,
  });
  const formats = {
    number: [(n) => plain.format(n), (n) => short.format(n)],
    money: [(n) => euros.format(n / 1e6), (n) => shortEuros.format(n / 1e6)],
    percent: [(n) => `${plain.format(n)} %`, (n) => `${plain.format(n)} %`],
  };

  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const color = (canvas, name, alpha = 1) => {
    const span = document.createElement("span");
    span.style.color = `var(${name})`;
    canvas.parentElement.append(span);
    probe.fillStyle = getComputedStyle(span).color;
    span.remove();
    probe.clearRect(0, 0, 1, 1);
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    return `rgba(${r}, ${g}, ${b}, ${alpha})`;
  };

  const dataset = (canvas, kind, series, index) => {
    const own = (alpha) => color(canvas, `--chart-${(index % 5) + 1}`, alpha);
    if (kind === "doughnut") {
      const colors = series.data.map((_, i) => color(canvas, `--chart-${(i % 5) + 1}`));
      return { ...series, backgroundColor: colors, borderColor: color(canvas, "--card"), borderWidth: 3, borderRadius: 4 };
    }
    if (kind === "bar" || kind === "stacked") {
      return { ...series, backgroundColor: own(0.92), hoverBackgroundColor: own(1), borderRadius: 4, maxBarThickness: 28 };
    }
    const fill = ({ chart: { ctx, chartArea } }) => {
      if (!chartArea) return own(0.1);
      const fade = ctx.createLinearGradient(0, chartArea.top, 0, chartArea.bottom);
      fade.addColorStop(0, own(0.26));
      fade.addColorStop(1, own(0));
      return fade;
    };
    return {
      ...series, borderColor: own(1), backgroundColor: fill, fill: kind === "area" && index === 0, borderWidth: 2, tension: 0.35,
      cubicInterpolationMode: "monotone", pointRadius: 0, pointHoverRadius: 4, pointHitRadius: 16, pointBackgroundColor: own(1),
    };
  };

  // What is counted has no halves: `whole` leaves them off the axis.
  const scales = (canvas, kind, brief, whole) => {
    const ticks = { color: color(canvas, "--muted-foreground"), maxRotation: 0, autoSkipPadding: 24, padding: 8 };
    const stacked = kind === "stacked";
    return {
      x: { stacked, grid: { display: false }, border: { display: false }, ticks },
      y: {
        stacked, beginAtZero: true, border: { display: false, dash: [3, 4] }, grid: { color: color(canvas, "--chart-grid"), drawTicks: false },
        ticks: { ...ticks, maxTicksLimit: 5, precision: whole ? 0 : undefined, callback: brief },
      },
    };
  };

  const draw = (canvas) => {
    const { kind, format, labels, series } = JSON.parse(canvas.dataset.chart);
    const [full, brief] = formats[format];
    const round = kind === "doughnut";
    Chart.getChart(canvas)?.destroy();
    new Chart(canvas, {
      type: round ? "doughnut" : kind === "bar" || kind === "stacked" ? "bar" : "line",
      data: { labels, datasets: series.map((one, index) => dataset(canvas, kind, one, index)) },
      options: {
        animation: { duration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 350 },
        responsive: true, maintainAspectRatio: false, cutout: "68%",
        interaction: { mode: round ? "nearest" : "index", intersect: round },
        scales: round ? {} : scales(canvas, kind, brief, format === "number"),
        plugins: {
          legend: {
            display: round || series.length > 1, position: "bottom",
            labels: { color: color(canvas, "--muted-foreground"), usePointStyle: true, pointStyle: "circle", boxHeight: 6, padding: 18 },
          },
          tooltip: {
            backgroundColor: color(canvas, "--popover"), titleColor: color(canvas, "--foreground"), bodyColor: color(canvas, "--foreground"),
            borderColor: color(canvas, "--border"), borderWidth: 1, padding: 12, cornerRadius: 10, boxPadding: 6, usePointStyle: true,
            callbacks: { label: (item) => ` ${round ? item.label : item.dataset.label}: ${full(round ? item.parsed : item.parsed.y)}` },
          },
        },
      },
    });
  };

  const drawAll = () => document.querySelectorAll("canvas[data-chart]").forEach(draw);
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.font.size = 12;
  document.addEventListener("flowlink:theme", drawAll);
  document.addEventListener("htmx:after:swap", drawAll);
  document.fonts.ready.then(drawAll);
})();
