// Compiles the writer, and gives its functions the names that the component model knows: AssemblyScript has no names with
// `:` and `/`. Usage: node build.mjs OUT.wasm
import { writeFileSync } from "node:fs";
import asc from "assemblyscript/asc";
import binaryen from "binaryen";

let core;
const compiled = await asc.main(
  ["writer.ts", "--outFile", "core.wasm", "--runtime", "incremental", "-O", "--use", "abort="],
  { writeFile: (name, contents) => (name === "core.wasm" ? (core = contents) : undefined) },
);

if (compiled.error) {
  console.error(compiled.stderr.toString());
  throw compiled.error;
}
const NAMES = {
  postNote: "sidenote:plugin/writer@0.1.0#post-note",
  done: "cabi_post_sidenote:plugin/writer@0.1.0#post-note",
};
const module = binaryen.readBinary(core);
for (const [name, known] of Object.entries(NAMES)) {
  const inner = binaryen.getExportInfo(module.getExport(name)).value;
  module.removeExport(name);
  module.addFunctionExport(inner, known);
}
writeFileSync(process.argv[2], module.emitBinary());
