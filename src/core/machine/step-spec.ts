/** How a micro-step and its facts are described. */
export type Actor = 'cpu' | 'kvm' | 'guest' | 'host' | 'vmm';
export type StepOp =
  | 'read'
  | 'write'
  | 'cmpxchg'
  | 'alloc'
  | 'free'
  | 'link'
  | 'unlink'
  | 'lookup'
  | 'flush'
  | 'fill'
  | 'hit'
  | 'miss'
  | 'exit'
  | 'entry'
  | 'inject'
  | 'emulate'
  | 'ipi'
  | 'request'
  | 'lock'
  | 'unlock'
  | 'check';
export type Space =
  'gPT' | 'sPT' | 'EPT' | 'PSC' | 'rmap' | 'hash' | 'TLB' | 'slot' | 'vcpu' | 'page' | 'role';
export type FactType = 'n' | 'w' | 'b' | 's';
export type FactSchema = Readonly<Record<string, FactType>>;

export interface StepSpec {
  readonly actor: Actor;
  readonly op: StepOp;
  readonly space: Space;
  readonly facts: FactSchema;
}

/** One kind of micro-step. */
export const spec = <F extends FactSchema>(
  actor: Actor,
  op: StepOp,
  space: Space,
  facts: F,
): StepSpec & { readonly facts: F } => ({
  actor,
  op,
  space,
  facts,
});
