"""The picture that shows a finding: mammogram, heat, outline and legend.

Does not know DICOM.
"""
