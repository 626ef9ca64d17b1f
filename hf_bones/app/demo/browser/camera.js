// A picture from the camera, taken in a dialog; it is handed over as any file is. The camera is on while the dialog is open, and no longer.
({ dialog, words, fill, say, give }) => {
  const video = dialog.querySelector("video");
  let stream = null;

  function stop() {
    for (const track of stream?.getTracks() || []) track.stop();
    stream = null;
    video.srcObject = null;
  }
  async function open() {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 2560 }, height: { ideal: 1440 } } });
    } catch (error) {
      say(fill("camera_none", { why: error.message || error.name }));
      return;
    }
    video.srcObject = stream;
    dialog.showModal();
  }
  function shoot() {
    if (!video.videoWidth) return;
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => { dialog.close(); give([new File([blob], "camera.png", { type: "image/png" })]); }, "image/png");
  }
  dialog.addEventListener("close", stop);
  return { open, shoot, close: () => dialog.close() };
}
