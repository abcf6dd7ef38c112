/** The texts of the panel with the kernel's trace. */
export const TRACE = {
  title: "Kernel's trace",
  about: (kernel: string): string =>
    `What Linux ${kernel} itself said while it ran this program, beside what the model does. Its own lines, without clock and processor.`,
  short: 'Trace',
  left: 'Left out: the making of the VM, and the exits and interrupts by which the recorder makes the guest stop between two steps.',
  step: (number: number, of: number): string => `Step ${String(number)} of ${String(of)}`,
  before: 'Nothing has run yet. Step forward.',
  none: 'The kernel traced nothing in this step: the guest ran without it.',
  lines: "Lines of the kernel's trace",
  agrees: (paired: number): string =>
    paired === 1
      ? '1 line has a step of the model. It says the same.'
      : `${String(paired)} lines have a step of the model each. All say the same.`,
  notPaired: 'Lines without a mark are of functions that the model has no step of its own for.',
  differs: 'Here the model says something else than the kernel',
  difference: (what: string, expected: string, got: string): string =>
    `${what}: the kernel says ${expected}, the model ${got}.`,
  goTo: 'Goes to the step of the model that gave this event',
  changed: {
    title: 'This is no longer the recorded program',
    text: 'The text or its settings were changed, or it is compared. So the text itself runs, as a scenario of your own: no kernel has recorded that.',
    back: 'Back to the recorded program',
  },
};
