/** What the button compares with, before anybody chooses. */
import type { SettingChoices } from '../../scenario/ast.ts';
import { store } from '../../store/state.ts';

/**
 * What the author suggests first and is not chosen yet; otherwise the other way to handle a guest entry's write, the
 * other kernel of today, or with and without caches of tables.
 */
export function otherSettings(): SettingChoices {
  const run = store.getState().runs[0];
  const settings = run?.plan.program.settings;
  const chosen: Readonly<Record<string, string>> = { ...settings, ...run?.plan.picks };
  const suggested = run?.plan.suggestions.find(({ choices }) =>
    Object.entries(choices).some(([name, value]) => chosen[name] !== value),
  );
  if (suggested !== undefined) return suggested.choices;
  if (settings?.machine === 'kvm-shadow') return { era: settings.era === '6.1' ? '6.12' : '6.1' };
  return settings === undefined || settings.machine === 'kvm-2007'
    ? { 'gpte-write': settings?.['gpte-write'] === 'zap' ? 'update' : 'zap' }
    : { psc: settings.psc === 'off' ? 'guest' : 'off' };
}
