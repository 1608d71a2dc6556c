// A canvas to draw a digit on with a mouse, a finger or a pen; returns the points of its strokes.
const instances = new WeakMap();

export default function ({ parentElement, setStateValue }) {
  const canvas = parentElement.querySelector("canvas");
  const clear = parentElement.querySelector("button");
  const hint = parentElement.querySelector("p");
  if (instances.has(canvas)) return;
  instances.set(canvas, true);
  const pen = canvas.getContext("2d");
  let strokes = [];

  const style = () => {
    pen.strokeStyle = pen.fillStyle = getComputedStyle(canvas).color;
    pen.lineWidth = canvas.width / 14;
    pen.lineCap = pen.lineJoin = "round";
  };
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    const scale = canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  const extend = (event) => {
    const stroke = strokes.at(-1);
    const [x, y] = point(event);
    pen.beginPath();
    pen.moveTo(...(stroke.at(-1) ?? [x, y]));
    pen.lineTo(x, y);
    pen.stroke();
    stroke.push([Math.round(x), Math.round(y)]);
  };

  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    hint.hidden = true;
    style();
    strokes.push([]);
    extend(event);
    canvas.onpointermove = (moved) => moved.getCoalescedEvents().forEach(extend);
  };
  canvas.onpointerup = canvas.onpointercancel = () => {
    if (!canvas.onpointermove) return;
    canvas.onpointermove = null;
    setStateValue("strokes", strokes);
  };
  clear.onclick = () => {
    strokes = [];
    hint.hidden = false;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    setStateValue("strokes", strokes);
  };
}
