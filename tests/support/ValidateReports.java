import com.pixelmed.validate.DicomSRValidator;

/** Prints what PixelMed's validator says of each report; it takes half a minute to start, hence one start for all. */
public class ValidateReports {
    public static void main(String[] files) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        for (String file : files) {
            System.out.println("FILE " + file);
            System.out.println(validator.validate(file));
        }
    }
}
