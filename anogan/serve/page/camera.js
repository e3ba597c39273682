// The camera: pictures as PNG, because a JPEG's losses would be scored too.

import { dated } from "./csv.js";
import { $, element } from "./dom.js";

let stream = null;
let onFile = () => {};
let proportion = null; // width / height of what is taken, from the middle of the picture; null: all of it

export function startCamera(take) {
  onFile = take;
  $("camera-start").addEventListener("click", () => start());
  $("camera-stop").addEventListener("click", stopCamera);
  $("snap").addEventListener("click", snap);
  $("cameras").addEventListener("change", () => start($("cameras").value));
  $("camera-app").addEventListener("click", () => $("camera-file").click());
  $("camera-file").addEventListener("change", () => {
    if ($("camera-file").files.length) onFile($("camera-file").files[0]);
    $("camera-file").value = "";
  });
  window.addEventListener("pagehide", stopCamera);
  document.addEventListener("visibilitychange", () => document.hidden && stopCamera());
}

// A model that looks at whole photos as one sample knows them in its own proportions alone.
export function cameraFor({ shape, crop, tiles }) {
  const [, height, width] = shape;
  proportion = tiles || crop?.length ? null : width / height;
  $("video").style.aspectRatio = proportion ?? "auto"; // with object-fit: cover it shows what is taken
}

// The shortcut's: start, or take a picture where it runs.
export function cameraKey() {
  (stream ? $("snap") : $("camera-start")).click();
}

async function start(device) {
  stopCamera();
  if (!navigator.mediaDevices) {
    return excuse("A browser opens the camera over https or on localhost only.");
  }
  const wanted = { width: { ideal: 1920 }, height: { ideal: 1080 } };
  const which = device ? { deviceId: { exact: device } } : { facingMode: { ideal: "environment" } };
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { ...wanted, ...which }, audio: false });
  } catch (error) {
    return excuse(REASONS[error.name] ?? `The camera could not be started: ${error.message}.`);
  }
  for (const track of stream.getTracks()) track.addEventListener("ended", () => lost());
  $("video").srcObject = stream;
  await $("video").play();
  running(true);
  await offerCameras();
}

const REASONS = {
  NotFoundError: "No camera was found on this device.",
  OverconstrainedError: "This camera is not there any more.",
  NotAllowedError: "The browser does not allow this page to use the camera: allow it beside the address, then try again.",
  NotReadableError: "Another program uses the camera, or it does not answer.",
};

function excuse(text) {
  $("camera-state").textContent = text;
  $("camera-app").hidden = false;
}

function lost() {
  stopCamera();
  excuse("The camera was disconnected.");
}

async function offerCameras() {
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
  const current = stream?.getVideoTracks()[0].getSettings().deviceId;
  $("camera-choice").hidden = cameras.length < 2;
  $("cameras").replaceChildren(...cameras.map(({ deviceId, label }, i) =>
    element("option", { value: deviceId, textContent: label || `Camera ${i + 1}`, selected: deviceId === current })));
}

async function snap() {
  const { videoWidth, videoHeight } = $("video");
  const width = Math.min(videoWidth, Math.round(videoHeight * (proportion ?? Infinity)));
  const height = Math.min(videoHeight, Math.round(videoWidth / (proportion ?? 0)));
  const canvas = element("canvas", { width, height });
  canvas.getContext("2d").drawImage($("video"), Math.floor((width - videoWidth) / 2), Math.floor((height - videoHeight) / 2));
  const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (picture) onFile(new File([picture], dated("camera", "png"), { type: "image/png" }));
}

export function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  $("video").srcObject = null;
  running(false);
}

function running(on) {
  for (const id of ["video", "snap", "camera-stop"]) $(id).hidden = !on;
  for (const id of ["camera-start", "camera-app"]) $(id).hidden = on || (id === "camera-app" && !$("camera-state").textContent);
  $("camera-state").textContent = "";
  if (!on) $("camera-choice").hidden = true;
}
