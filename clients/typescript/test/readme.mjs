// Writes the TypeScript of the README into build/, where it is compiled as it stands.
import {mkdirSync, readFileSync, writeFileSync} from "node:fs";

const blocks = [...readFileSync("README.md", "utf8").matchAll(/```ts\n(.*?)```/gs)].map(([, block]) => block);
if (blocks.length === 0) throw new Error("the README has no TypeScript");
mkdirSync("build", {recursive: true});
blocks.forEach((block, n) => writeFileSync(`build/readme${n}.ts`, block));
