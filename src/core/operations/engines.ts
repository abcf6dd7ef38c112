/** Which engine runs a machine, and what judges it. Engines that the first picture does not need are loaded when first wanted. */
import { must } from '../assert.ts';
import { addJudging } from '../audit/judging.ts';
import { judging2007 } from '../audit/judging-2007.ts';
import type { Engine } from '../engine.ts';
import { kvm2007 } from '../kvm/kvm-2007.ts';
import type { Settings } from '../settings.ts';

addJudging('kvm-2007', judging2007);
const loaded = new Map<string, Engine>([['kvm-2007', kvm2007]]);

export const engineOf = ({ machine }: Pick<Settings, 'machine'>): Engine =>
  must(loaded.get(machine), `an engine that is loaded: ${machine}`);

/** To be awaited before a run; once loaded, an engine stays. */
export async function loadEngine({ machine }: Pick<Settings, 'machine'>): Promise<void> {
  if (loaded.has(machine)) return;
  if (machine === 'kvm-shadow') {
    const [{ kvmShadow }, { judgingToday }] = await Promise.all([
      import('../kvm-shadow/kvm-shadow.ts'),
      import('../audit/today/judging.ts'),
    ]);
    addJudging(machine, judgingToday);
    loaded.set(machine, kvmShadow);
    return;
  }
  const { bare } = await import('../bare/bare.ts');
  loaded.set('native', bare);
  loaded.set('two-stage', bare);
}

/** Every engine, for programs that run without a screen. */
export const loadEngines = async (): Promise<void> => {
  await Promise.all([loadEngine({ machine: 'native' }), loadEngine({ machine: 'kvm-shadow' })]);
};
