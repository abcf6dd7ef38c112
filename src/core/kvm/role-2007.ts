/** The role word of a 2007 shadow page: together with the gfn it is the page's key in the hash. */
export interface Role {
  /** Levels of the guest's tables: 4, 3, 2; 0 without paging. */
  readonly guestLevels: number;
  /** Level of this shadow page, 1 = PT. */
  readonly level: number;
  readonly quadrant: number;
  /** The gfn is no guest table: a guest large page, or no paging. */
  readonly metaphysical: boolean;
  /** Rights kept in the key: bit 0 write, bit 1 user, bit 2 no-execute. */
  readonly access: number;
}

export const ROLE_FIELDS = [
  { name: 'glevels', shift: 0, width: 4, meaning: "levels of the guest's tables" },
  { name: 'level', shift: 4, width: 4, meaning: 'level of this shadow page' },
  { name: 'quadrant', shift: 8, width: 2, meaning: 'which part of a 32-bit guest table it shadows' },
  { name: 'metaphysical', shift: 16, width: 1, meaning: 'no guest table stands behind it' },
  { name: 'hugepage_access', shift: 17, width: 3, meaning: 'rights that are part of the key' },
] as const;

export const roleWord = (role: Role): number =>
  role.guestLevels | (role.level << 4) | (role.quadrant << 8) | (Number(role.metaphysical) << 16) | (role.access << 17);

export const roleOf = (word: number): Role => ({
  guestLevels: word & 0xf,
  level: (word >>> 4) & 0xf,
  quadrant: (word >>> 8) & 3,
  metaphysical: ((word >>> 16) & 1) === 1,
  access: (word >>> 17) & 7,
});

export const levelOfRole = (word: number): number => (word >>> 4) & 0xf;
