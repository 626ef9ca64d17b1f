// Draws a film on a canvas: its grey values through window and level, the colours of a heat map over them, frames on top. `look` says how:
// zoom (1 fits the canvas), x and y (px that the middle is moved by), window and level (grey values), inverted, boxes, heat (0 to 1).
({ canvas }) => {
  const context = canvas.getContext("2d"), grey = document.createElement("canvas"), paint = grey.getContext("2d", { willReadFrequently: true });
  let pixels = null, painted = "";

  function film(image) {
    pixels = null;
    painted = "";
    if (!image) return;
    grey.width = image.naturalWidth;
    grey.height = image.naturalHeight;
    paint.drawImage(image, 0, 0);
    pixels = paint.getImageData(0, 0, grey.width, grey.height);
  }
  function value(at, look) {
    const shown = ((at - look.level) / look.window + 0.5) * 255;
    return look.inverted ? 255 - shown : shown;
  }
  function window(look) {
    const wanted = [look.window, look.level, look.inverted].join(" ");
    if (wanted === painted) return;
    painted = wanted;
    const table = Uint8ClampedArray.from({ length: 256 }, (_, at) => value(at, look));
    const shown = paint.createImageData(grey.width, grey.height), { data } = pixels;
    for (let at = 0; at < data.length; at += 4) {
      shown.data[at] = shown.data[at + 1] = shown.data[at + 2] = table[data[at]];
      shown.data[at + 3] = 255;
    }
    paint.putImageData(shown, 0, 0);
  }

  // Where the film lies on the canvas, in px of the page.
  function place(look) {
    const share = Math.min(canvas.clientWidth / grey.width, canvas.clientHeight / grey.height) * look.zoom;
    const width = grey.width * share, height = grey.height * share;
    return { left: (canvas.clientWidth - width) / 2 + look.x, top: (canvas.clientHeight - height) / 2 + look.y, width, height, share };
  }
  function draw(look, layer, boxes) {
    const ratio = globalThis.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    if (!pixels || !canvas.width || !canvas.height) return;
    window(look);
    const { left, top, width, height, share } = place(look);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = share * ratio < 4;
    context.imageSmoothingQuality = "high";
    context.drawImage(grey, left, top, width, height);
    if (layer && look.heat > 0) {
      context.globalAlpha = look.heat;
      context.imageSmoothingEnabled = true;
      context.drawImage(layer, left, top, width, height);
      context.globalAlpha = 1;
    }
    if (look.boxes) for (const box of boxes) frame(box, { left, top, width, height });
  }
  function frame(box, { left, top, width, height }) {
    const x = left + (box.cx - box.w / 2) * width, y = top + (box.cy - box.h / 2) * height, wide = box.w * width, high = box.h * height;
    for (const [colour, line] of [["#000", 4], ["#fff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.strokeRect(x, y, wide, high);
    }
    const text = Math.round(100 * box.score) + " %", above = y > 18 ? y - 5 : y + high + 15;
    context.font = "700 13px sans-serif";
    context.lineWidth = 3;
    context.strokeStyle = "#000";
    context.strokeText(text, x, above);
    context.fillStyle = "#fff";
    context.fillText(text, x, above);
  }
  return { film, draw, place };
}
