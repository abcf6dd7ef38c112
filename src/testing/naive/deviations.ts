/** Stated deviations of a hypervisor that are no error here. */
export interface Deviations {
  /** Its walker refuses at an upper entry before it sees that a lower one is absent. */
  readonly refusesOnTheWay: boolean;
  /** What the kernel could write while CR0.WP was 0 it can write for ever. */
  readonly kernelWritesStay: boolean;
  /** A large page that was once dirty is written without a mark, whatever its entry says now. */
  readonly largePagesStayDirty: boolean;
  /** A fault of the guest's for want of an entry leaves what is cached for the address. */
  readonly absentFaultsKeep: boolean;
}

export const NO_DEVIATIONS: Deviations = {
  refusesOnTheWay: false,
  kernelWritesStay: false,
  largePagesStayDirty: false,
  absentFaultsKeep: false,
};
