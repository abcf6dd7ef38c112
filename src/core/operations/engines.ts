/** Which engine runs a machine. Engines that the first picture does not need are loaded when first wanted. */
import { must } from '../assert.ts';
import type { Engine } from '../engine.ts';
import { kvm2007 } from '../kvm/kvm-2007.ts';
import type { Settings } from '../settings.ts';

const loaded = new Map<string, Engine>([['kvm-2007', kvm2007]]);

export const engineOf = ({ machine }: Pick<Settings, 'machine'>): Engine =>
  must(loaded.get(machine), `an engine that is loaded: ${machine}`);

/** To be awaited before a run; once loaded, an engine stays. */
export async function loadEngine({ machine }: Pick<Settings, 'machine'>): Promise<void> {
  if (loaded.has(machine)) return;
  if (machine === 'kvm-shadow') {
    const { kvmShadow } = await import('../kvm-shadow/kvm-shadow.ts');
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
