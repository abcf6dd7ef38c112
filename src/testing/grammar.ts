/** Compiles the scenario grammar to `syntax.gen.ts`; with `--check` only says whether what is committed is stale. */
import { readFileSync, writeFileSync, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildParserFile } from '@lezer/generator';

const folder = new URL('../scenario/', import.meta.url);
const source = fileURLToPath(new URL('syntax.grammar', folder));
const target = fileURLToPath(new URL('syntax.gen.ts', folder));

const { parser, terms } = buildParserFile(readFileSync(source, 'utf8'), {
  fileName: 'syntax.grammar',
  typeScript: true,
});
const names = terms.split('\n').filter((line) => /export const|^ {2}[A-Z]|,$|= \d+/.test(line));
const output = `// Generated from syntax.grammar by \`npm run gen\`. Do not edit.\n${parser.replace(/^\/\/.*\n/, '')}\n${names.join('\n')}\n`;

if (process.argv.includes('--check')) {
  if (!existsSync(target) || readFileSync(target, 'utf8') !== output) {
    console.error('src/scenario/syntax.gen.ts is stale: run `npm run gen`');
    process.exitCode = 1;
  }
} else {
  writeFileSync(target, output);
}
