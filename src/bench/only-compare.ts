import { compareLines } from './compare.ts';
import { planScenario } from '../scenario/plan.ts';
const pages = Array.from({ length: 32 }, (_, i) => 0x400000 + (i % 4) * 0x200000 + Math.floor(i / 4) * 0x1000);
const windows = [0, 1, 2, 3].map((i) => `map 0x${(0xffff888000000000n + BigInt(i) * 0x1000n).toString(16)} -> table-of 0x${(0x400000 + i * 0x200000).toString(16)} rw kernel accessed dirty`);
const body = Array.from({ length: 400 }, (_, i) => { const page = `0x${(pages[(i * 7) % 32] ?? 0).toString(16)}`; if (i % 5 === 4) return `v0 kernel set-pte ${page} -> absent\nv0 kernel invlpg ${page}`; return `v0 user ${i % 3 === 0 ? 'write' : 'read'} ${page}\n  on #PF\n    set-pte ${page} -> gfn 0x${(0x100 + (i % 64)).toString(16)} rw user accessed dirty\n    retry`; });
const r = planScenario(['mmuscope 1','slot 0x0 64M',...pages.map((p) => `map 0x${p.toString(16)} -> absent`),...windows,'begin',...body].join('\n'));
if (r.kind === 'problems') throw new Error(JSON.stringify(r.problems[0]));
const p = r.plan.program;
for (const l of compareLines({ ...p, body: [...p.body, ...p.body, ...p.body] }, 10000)) console.log(l);
