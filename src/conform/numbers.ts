/** Numbers as recordings and their texts write them. */
export const PAGE = 4096n;
export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
