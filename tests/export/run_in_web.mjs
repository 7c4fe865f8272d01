// What onnxruntime-web says of images: node run_in_web.mjs PACKAGE MODEL.onnx IMAGES COUNT; one JSON object on stdout.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [folder, model, images, count] = process.argv.slice(2);
const ort = await import(pathToFileURL(`${folder}/dist/ort.wasm.min.mjs`).href);
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(model));
const pixels = new Uint8Array(readFileSync(images));
const found = await session.run({ images: new ort.Tensor('uint8', pixels, [Number(count), 28, 28]) });
const told = Object.entries(found).map(([name, tensor]) => [name, { dims: tensor.dims, values: Array.from(tensor.data) }]);
process.stdout.write(JSON.stringify(Object.fromEntries(told)));
