// Loads what generates a report while its input is still written, and lets it begin once standard input says so.
// Where the process that writes the input dies, standard input ends without a word: there is nothing to generate.
import { pathToFileURL } from "node:url";

const cli = pathToFileURL(process.argv[1]);
const parts = ["./dist/commands/index.js", "../@allurereport/plugin-awesome/dist/index.js"];
await Promise.all(parts.map((part) => import(new URL(part, cli))));

let said = "";
for await (const part of process.stdin) {
    said += part;
}
if (!said) {
    process.exit(1);
}
