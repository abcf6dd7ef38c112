/**
 * `npm run counterexamples [-- <setting=value>...]`: finds and shrinks anew the programs that show what is wrong about the
 * wrong policies, and keeps each as a scenario. Without arguments it does so for those of which none is kept.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadEngines } from '../core/operations/engines.ts';
import { asScenario, findProgram, keptName, withoutIdleLines } from './counterexamples.ts';
import { WRONG_POLICIES } from './wrong-policies.ts';

const RUNS = 20_000;
const folder = fileURLToPath(new URL('counterexamples/', import.meta.url));
const fileOf = (id: string): string => `${folder}${keptName(id)}`;

await loadEngines();
mkdirSync(folder, { recursive: true });
const asked = process.argv.slice(2);
const ids = asked.length > 0 ? asked : Object.keys(WRONG_POLICIES).filter((id) => !existsSync(fileOf(id)));
for (const id of ids) {
  const search = WRONG_POLICIES[id];
  if (search === undefined) console.log(`${id}: there is no line for it in wrong-policies.ts`);
  else {
    const found = findProgram(id, search, { runs: RUNS, shrink: true });
    if (found === undefined) {
      console.log(`${id}: none of ${String(RUNS)} programs shows it`);
      process.exitCode = 1;
      continue;
    }
    const text = asScenario(withoutIdleLines(found, id), id);
    writeFileSync(fileOf(id), text);
    console.log(`${id}: kept, ${String(text.split('\n').length)} lines`);
  }
}
