/** The paging modes of x86. */
export type PagingMode = 'nonpaging' | '2-level' | 'pae' | '4-level' | '5-level';
