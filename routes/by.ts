/** The key `by` of bodies that change something. */
export const byProperty = {
  type: 'string',
  maxLength: 64,
  pattern: '^[^\\u0000-\\u001f\\u007f]*$',
  description: 'Who asks, as they say; for the audit',
}
